from routing_core.queue_views import QueueViews

SETTINGS: tuple[str, ...]

class QueueAgents(QueueViews):
    """See Engine in queues.pyi."""

from routing_core.queue_rules import QueueRules

class QueueViews(QueueRules):
    """See Engine in queues.pyi."""

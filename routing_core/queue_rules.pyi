from routing_core.queue_state import QueueState

class QueueRules(QueueState):
    """See Engine in queues.pyi."""

class QueueState:
    """See Engine in queues.pyi."""

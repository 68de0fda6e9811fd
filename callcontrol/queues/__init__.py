"""Queues of companies: the engine of each, fed and obeyed."""

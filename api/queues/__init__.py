"""Queues and agents as they are."""

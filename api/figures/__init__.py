"""Figures of queues and agents."""

"""Presence, log-ins and line state."""

"""Voice messages and callback requests."""

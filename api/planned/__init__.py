"""Changes that are made at a later time."""

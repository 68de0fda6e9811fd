"""Whole companies: several changes at once, export and import."""

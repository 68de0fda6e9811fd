"""The configuration: every table, and what it must be."""

"""Measurements: seeded, a fresh process per subject, both sides of a ratio in one run."""

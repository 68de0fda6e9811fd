"""Recordings: which there are, their sound, and who may hear it."""

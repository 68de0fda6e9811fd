"""What is deleted, and the proof of it."""

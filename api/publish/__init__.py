"""From the store to every process."""

"""The jobs of the keeper."""

"""Earlier and later configurations."""

"""Who did what, besides changing the configuration."""

"""How the exchange itself does: health, figures for Prometheus, what the operator looks at."""

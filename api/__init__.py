"""Manages the truth and publishes it: provisioning API, snapshot publisher, call records."""

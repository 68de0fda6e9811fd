"""The document of the API, and pages for people."""

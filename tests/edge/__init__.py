"""The SIP edge by itself."""

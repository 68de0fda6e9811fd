"""The commands for daily work, one file a kind; vaxel/command.py puts them together."""

"""The audio of prompts."""

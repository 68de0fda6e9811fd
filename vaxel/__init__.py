"""Composition: the command line, the processes of one installation, the demo."""

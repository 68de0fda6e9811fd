"""Attendants at work: their licences float."""

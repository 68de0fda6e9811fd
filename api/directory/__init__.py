"""Whom a company's people may look for, and who a number is (U2)."""

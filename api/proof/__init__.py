"""The routing graph of a company, checked over the year."""

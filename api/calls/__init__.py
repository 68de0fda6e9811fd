"""Call records, explanations and replays."""

"""What broken and hostile senders send to the edge."""

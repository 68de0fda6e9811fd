"""Call control: the calls that the product itself answers."""

"""SMS out, through the gateway of the operator."""

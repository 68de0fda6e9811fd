"""Events sent to others: who gets them, what is sent, what became of it."""

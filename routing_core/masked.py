"""Numbers of people, as logs may tell them."""

#: Enough to find a call again, too little to find a person.
SHOWN = 3


def masked(number: str) -> str:
    """Its last digits, "" for a caller who hides it."""
    return "".join(c for c in number if c.isdecimal())[-SHOWN:]

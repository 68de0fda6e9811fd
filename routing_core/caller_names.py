"""A name as a telephone's display shows it."""

from typing import Final

#: What a device asks for instead of a number when it wants none shown (RFC 3323 section 4.1.1.3).
ANONYMOUS: Final = "anonymous"
ANONYMOUS_URI: Final = "sip:anonymous@anonymous.invalid"
#: Of UTF-8; longer names are cut between two characters.
MAX_NAME_BYTES: Final = 64


def shown_name(name: str) -> bytes:
    """UTF-8 without what does not print (controls, marks that turn the direction of text), on one
    line; b"" when nothing is left."""
    if not name.isprintable():
        name = "".join(c if c.isprintable() else " " for c in name)
    text = " ".join(name.split()).encode()
    return text[:MAX_NAME_BYTES].decode(errors="ignore").rstrip().encode()


def quoted(name: str) -> str:
    """A display name as a quoted-string (RFC 3261 section 25.1)."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

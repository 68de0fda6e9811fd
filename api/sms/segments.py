"""How many messages an SMS text becomes (3GPP TS 23.038, 23.040)."""

from typing import Final

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà")
#: Behind an escape, so they take two places.
_EXTENDED: Final = frozenset("\f^{}\\[~]|€")
#: Places of one message, and of each of several, in seven-bit characters and in UTF-16.
_GSM, _UCS2 = (160, 153), (70, 67)


def segments(text: str) -> int:
    """A character outside the GSM alphabet makes all of them UTF-16. What takes two places is not
    divided."""
    if all(c in _BASIC or c in _EXTENDED for c in text):
        sizes, (one, each) = [1 + (c in _EXTENDED) for c in text], _GSM
    else:
        sizes, (one, each) = [1 + (ord(c) > 0xFFFF) for c in text], _UCS2
    if sum(sizes) <= one:
        return 1
    count, room = 1, each
    for size in sizes:
        if size > room:
            count, room = count + 1, each
        room -= size
    return count

"""Words of names and numbers: what a directory keeps of an entry, and what a search asks for.

Both are folded alike (NFKC, no case, no marks: "Åsa" is "asa"), so that a person is found however
the name is typed. Words are letters and digits only.
"""

import re
import unicodedata
from typing import Final

#: Longer words are cut, longer questions too.
MAX_WORD: Final = 32
MAX_QUESTION: Final = 200
MAX_ASKED: Final = 8
#: Letters whose mark is not a character of its own.
_PLAIN: Final = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "ł": "l",
                               "þ": "th", "ı": "i"})
MAX_REMEMBERED: Final = 10_000
_WORD: Final = re.compile(r"[^\W_]+")
#: A number as people write it: with + or 0 in front, and spaces, brackets and hyphens inside.
_NUMBER: Final = re.compile(r"(?:^|(?<=\s))(?:\+[ (]*[0-9]|0)[0-9 ()./-]*")
_DOMAIN: Final = re.compile(r"@\S*")


class _Folded(dict[int, str]):
    """{character: what it is folded to}, filled as they come."""

    def __missing__(self, code: int) -> str:
        plain = unicodedata.normalize("NFKD", chr(code)).casefold()
        folded = "".join(c for c in unicodedata.normalize("NFKD", plain)
                         if not unicodedata.combining(c)).translate(_PLAIN)
        if len(self) < MAX_REMEMBERED:
            self[code] = folded
        return folded


_FOLDED: Final = _Folded()


def fold(text: str) -> str:
    """Without case, marks and the other ways to write the same letter."""
    return text.lower() if text.isascii() else text.translate(_FOLDED)


def words(text: str) -> list[str]:
    """The folded words of a text."""
    return [word[:MAX_WORD] for word in _WORD.findall(fold(text))]


def words_of_entry(texts: list[str], numbers: list[str], email: str) -> list[str]:
    """What an entry is found by. numbers: E.164."""
    found = dict.fromkeys(words(" ".join([*texts, email.partition("@")[0]])))
    found |= dict.fromkeys(number[1:] for number in numbers)
    return list(found)


def asked(text: str, country_code: int) -> list[tuple[str, ...]]:
    """The words that an entry must have one beginning with, each in the ways that it may be
    written: a national number (0...) is one of that country too."""
    text = unicodedata.normalize("NFKC", text[:MAX_QUESTION])[:MAX_QUESTION].replace("(0)", "")
    found: dict[str, tuple[str, ...]] = {}

    def number(match: re.Match[str]) -> str:
        digits = "".join(c for c in match[0] if c.isdigit())
        if digits.startswith("00"):
            digits = digits[2:]
        elif digits.startswith("0"):
            found[digits] = (digits, f"{country_code}{digits[1:]}")
            return " "
        if digits:
            found[digits] = (digits,)
        return " "

    rest = _NUMBER.sub(number, _DOMAIN.sub(" ", text))
    for word in words(rest):
        found.setdefault(word, (word,))
    longest = sorted(found, key=len, reverse=True)
    needed = [word for i, word in enumerate(longest)
              if not any(other.startswith(word) for other in longest[:i])]
    return [tuple(way[:MAX_WORD] for way in found[word]) for word in needed[:MAX_ASKED]]

"""CSV as spreadsheets of the north save it: semicolons, sep= lines, UTF-16, marks, words for yes
and no in their language, and spaces that nobody sees."""

import csv
import io
import itertools
from collections.abc import Iterator
from typing import Final

#: Spaces and marks around a cell.
BLANK: Final = " \t\u00a0\u2007\u202f\u200b\ufeff"
DELIMITERS: Final = ",;\t|"
#: Words of Excel and LibreOffice in Swedish, Finnish, Danish, Norwegian and English.
TRUE: Final = frozenset(("true", "sant", "sann", "sand", "tosi", "ja", "yes", "kyllä", "1"))
FALSE: Final = frozenset(("false", "falskt", "usann", "falsk", "epätosi", "nej", "nei", "no", "ei",
                          "0"))


def text_of(data: bytes) -> str:
    """A file's text: UTF-16 or UTF-8 by its mark, else UTF-8, else Windows-1252 (as Excel saves
    "CSV"); UnicodeDecodeError."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252")


def lines_of(text: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells); csv.Error. The delimiter is what sep= says, or that of which the first
    line has most."""
    first, _, rest = text.partition("\n")
    said = first.strip(BLANK + '"\r')
    if said.lower().startswith("sep="):
        return _read(rest, said[4:5] or ",", 1)
    return _read(text, max(DELIMITERS, key=first.count), 0)


def _read(text: str, delimiter: str, skipped: int) -> Iterator[tuple[int, list[str]]]:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    return ((lines.line_num + skipped, cells) for cells in lines)


def truth(cell: str) -> bool | None:
    """What a cell of yes or no says."""
    word = cell.strip(BLANK).lower()
    return True if word in TRUE else False if word in FALSE else None


def empty(cells: list[str]) -> bool:
    """Whether a line has nothing in it, as those at the end of a sheet."""
    return not any(one.strip(BLANK) for one in itertools.islice(cells, 1000))

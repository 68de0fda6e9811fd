"""What the edge logs: lines with a mark that nobody can guess, as Kamailio's own may have a
stranger's words in them (vaxel/logs.py)."""

import os

import KSR

_mark = ""


def begin(mark: str) -> None:
    """The mark of this start; from now on no line without it is the edge's."""
    global _mark
    _mark = mark
    if mark:
        os.write(2, f"INFO: {mark} a worker begins\n".encode())


def error(text: str) -> None:
    """Something that should not be."""
    KSR.err(f"{_mark} {text}\n")


def warning(text: str) -> None:
    """Something that somebody may want to know."""
    KSR.warn(f"{_mark} {text}\n")

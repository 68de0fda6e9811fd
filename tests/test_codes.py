"""Codes that people key during a call, and those that they dial."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callcontrol.codes import (
    DIALLED,
    IN_CALL,
    MAX_NUMBER,
    PAUSE_S,
    PREFIX,
    Action,
    Asked,
    Code,
    Dialled,
    KeyReader,
    read,
)

SIGNS = "0123456789*#"
KEYS = st.text(SIGNS, max_size=40)
DIGITS = st.text("0123456789", min_size=1, max_size=MAX_NUMBER)
#: Keys after which no code has begun: none of them is of the prefix.
PLAIN = st.text("0123456789", max_size=20)
ACTIONS = sorted(IN_CALL.items())


def press(reader: KeyReader, keys: str, *, at: float = 0.0, each_s: float = 0.2) -> list[Asked]:
    """What all these keys ask for, one after the other."""
    pressed = [reader.press(key, at + number * each_s) for number, key in enumerate(keys)]
    return [asked for asked in pressed if asked]


def keyed(key: str, number: str = "12") -> str:
    """A whole code."""
    return PREFIX + key + (f"{number}#" if IN_CALL[key][1] else "")


# -- during a call -----------------------------------------------------------------------------

def test_every_action_has_one_code() -> None:
    """And no other."""
    assert sorted(action for action, _ in IN_CALL.values()) == sorted(Action)


@pytest.mark.parametrize(("key", "what"), ACTIONS)
@given(before=PLAIN, number=DIGITS)
def test_every_code(key: str, what: tuple[Action, bool], before: str, number: str) -> None:
    """After whatever else was pressed; once."""
    action, with_number = what
    asked = press(KeyReader(), before + keyed(key, number))
    assert asked == [Asked(action, number if with_number else "")]


@pytest.mark.parametrize("before", ["*", "**", "#", "*#1", "*#*1", "***", "*##", "#*", "*#*A",
                                    "*#**", "*#**#5", "#*#1", "*#*A*", "*#*2*", "*#*112*"])
def test_the_prefix_may_begin_anywhere(before: str) -> None:
    """Also in what looked like another one. ("*#" cannot be before: *#*# is a code.)"""
    assert press(KeyReader(), before + keyed("3"))[-1:] == [Asked(Action.SWAP)]


@given(before=st.text("*#19A", max_size=12))
@example(before="*#*1")
@example(before="*#*112")
@example(before="*#*1*")
def test_a_code_is_found_after_anything(before: str) -> None:
    """What was begun before does not swallow it, whatever it was: at the latest the third time."""
    reader = KeyReader()
    asked = press(reader, before) + press(reader, keyed("9") * 3, at=30.0)
    assert Asked(Action.RECORD) in asked


@given(keys=KEYS)
def test_a_pause_forgets(keys: str) -> None:
    """What was begun is nothing any more."""
    reader = KeyReader()
    press(reader, keys)
    late = len(keys) * 0.2 + PAUSE_S + 0.1
    assert press(reader, keyed("6"), at=late) == [Asked(Action.PARK)]


@pytest.mark.parametrize("cut", range(1, len(keyed("1"))))
def test_a_pause_within_a_code(cut: int) -> None:
    """It is no code then; just below the pause it is."""
    code = keyed("1")
    reader = KeyReader()
    press(reader, code[:cut], each_s=0)
    assert press(reader, code[cut:], at=PAUSE_S, each_s=0) == [Asked(Action.TRANSFER, "12")]
    press(reader, code[:cut], at=100.0, each_s=0)
    assert press(reader, code[cut:], at=100.1 + PAUSE_S, each_s=0) == []


@pytest.mark.parametrize("key", [key for key, (_, with_number) in ACTIONS if with_number])
def test_the_longest_number(key: str) -> None:
    """One more is given up, and the next code is found."""
    number = "1" * MAX_NUMBER
    assert press(KeyReader(), keyed(key, number)) == [Asked(IN_CALL[key][0], number)]
    reader = KeyReader()
    assert press(reader, keyed(key, number + "1")) == []
    assert press(reader, keyed("6"), at=30.0) == [Asked(Action.PARK)]


@pytest.mark.parametrize("key", [key for key, (_, with_number) in ACTIONS if with_number])
def test_no_number(key: str) -> None:
    """# alone asks for nothing."""
    reader = KeyReader()
    assert press(reader, f"{PREFIX}{key}#") == []
    assert press(reader, keyed("6"), at=1.0) == [Asked(Action.PARK)]


@given(keys=st.text("0123456789", max_size=200))
def test_what_is_no_code_is_nothing(keys: str) -> None:
    """A telephone bank may be used through a call."""
    assert press(KeyReader(), keys) == []


@given(keys=st.lists(st.sampled_from([*SIGNS, "A", "D", PREFIX]), max_size=300))
def test_the_reader_never_grows(keys: list[str]) -> None:
    """Whatever is pressed: numbers are digits, * and # that can be dialled, and short."""
    reader = KeyReader()
    for asked in press(reader, "".join(keys)):
        assert asked.action in Action
        assert len(asked.number) <= MAX_NUMBER and PREFIX not in asked.number
    assert len(reader._keys) <= len(PREFIX) + MAX_NUMBER + 1


@given(codes=st.lists(st.sampled_from([key for key, _ in ACTIONS]), max_size=10))
def test_one_after_the_other(codes: list[str]) -> None:
    """None is lost."""
    asked = press(KeyReader(), "".join(keyed(key) for key in codes))
    assert [one.action for one in asked] == [IN_CALL[key][0] for key in codes]


# -- instead of a number -----------------------------------------------------------------------

@pytest.mark.parametrize(("text", "code"), [
    ("*23*1", Code(Dialled.PRESENCE, "1")),
    ("*23*12*1630", Code(Dialled.PRESENCE, "12", "1630")),
    ("#23", Code(Dialled.PRESENCE_OFF)),
    ("*21*0701234567", Code(Dialled.FORWARD, "0701234567")),
    ("*21*+46701234567", Code(Dialled.FORWARD, "+46701234567")),
    ("*21*12", Code(Dialled.FORWARD, "12")),
    ("#21", Code(Dialled.FORWARD_OFF)),
    ("#37", Code(Dialled.CALL_BACK_OFF)),
    ("*8", Code(Dialled.PICKUP_GROUP)),
    ("**12", Code(Dialled.PICKUP, "12")),
    ("*85", Code(Dialled.PARKED)),
    ("*85*71", Code(Dialled.PARKED, "71")),
    ("*84", Code(Dialled.FETCH)),
    ("*98", Code(Dialled.VOICEMAIL)),
    ("*90", Code(Dialled.PRESENCE_MENU)),
    ("*92*31", Code(Dialled.RECORD_PROMPT, "31")),
])
@pytest.mark.parametrize("end", ["", "#"])
def test_every_dialled_code(text: str, code: Code, end: str) -> None:
    """With the last # and without."""
    assert read(text + end) == code


@pytest.mark.parametrize("text", [
    "", "*", "#", "12", "112", "+46701234567", "*23", "*23*", "*23*1234", "*23*1*163",
    "*23*1*16300", "*23*1#16", "*21", "*21*1", "*21*" + "1" * 21, "*21*+", "**1", "**1234567",
    "*85*", "*85*1234",
    "*8*", "*92", "*92*", "*92*" + "1" * 10, "*98##", " *98", "*98 ", "*98\n", "#23#x", "x#23#",
    "*100", "*8485", "*23*1*", "*21**12", "**12#\n"])
def test_what_is_no_dialled_code(text: str) -> None:
    """It is a number, or nothing."""
    assert read(text) is None


@given(text=st.text("0123456789*#+", max_size=30))
def test_dialled_codes_are_told_apart(text: str) -> None:
    """A text is one code at most, and its numbers are short enough for what reads them."""
    found = [action for action, pattern in DIALLED if pattern.fullmatch(text)]
    assert len(found) <= 1
    code = read(text)
    assert (code.action if code else None) == (found[0] if found else None)
    if code and code.action in (Dialled.PARKED, Dialled.RECORD_PROMPT) and code.first:
        assert 0 <= int(code.first) < 10**9


@given(text=st.text(max_size=12))
def test_any_text_can_be_read(text: str) -> None:
    """What comes in an INVITE may be anything."""
    code = read(text)
    assert code is None or code.action in Dialled


@pytest.mark.parametrize("text", ["*85*٧١", "**१२", "*23*²"])
def test_other_digits_are_none(text: str) -> None:
    """No telephone has them."""
    assert read(text) is None


def test_the_page_has_every_code() -> None:
    """docs/codes.md against the tables, both ways for what is keyed during a call."""
    page = (Path(__file__).parent.parent / "docs" / "codes.md").read_text()
    for key, (_, with_number) in IN_CALL.items():
        assert f"| `{PREFIX}{key}" + (" " if with_number else "`") in page, key
    dialled = {row.split("`")[1] for row in page.splitlines() if row.startswith("| `")
               and not row.startswith("| `*#*")}
    digits = {"code": "5", "HHMM": "1530", "MMDD": "0303", "number": "0701234567",
              "extension": "102", "place": "71", "prompt": "3", "reason": "2"}
    found = set()
    for text in dialled - {"#31#"}:
        keyed = text
        for name, value in digits.items():
            keyed = keyed.replace(name, value)
        code = read(keyed)
        assert code is not None, keyed
        found.add(code.action)
    assert found == set(Dialled)

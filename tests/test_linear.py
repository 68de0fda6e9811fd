"""Whatever is read from outside is read in linear time. Expressions are judged by themselves
(tests/ambiguity.py); a scan by the lines that it runs and the texts that it copies, for 1 000
characters and for 10 000. Nothing here looks at a clock.
"""

import ast
import contextlib
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import spec_from_file_location
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NamedTuple

import pytest

from api.http.errors import Problem
from api.transfer.document import Import
from rtp.errors import MediaError
from store.model import Allotment, Tenant
from store.sqlite import SqliteStore, SqliteWriter
from tests.ambiguity import Unjudged, judge

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("kemi", "routing_core", "rtp", "callcontrol", "store", "api", "vaxel")
SEARCHES = {"search", "findall", "finditer", "sub", "subn", "split"}
CALLS = SEARCHES | {"match", "fullmatch"}
#: Expressions that are not in the source as a whole, and why they need not be.
ELSEWHERE = {
    ("vaxel/options.py", "pattern"): "_about() hands on what it is called with, which is judged",
    ("api/http/examples.py", "schema.get('pattern', '')"): "those of the API's schemas, which are "
    "judged where they are declared, on examples that we write",
}


# -- expressions --------------------------------------------------------------------------------

class Expression(NamedTuple):
    """One in the sources. value: None when it is made while the program runs."""

    path: str
    line: int
    text: str
    value: str | bytes | None
    flags: int
    searched: bool
    whole: bool


@cache
def sources() -> dict[str, ast.Module]:
    """The product's, by path."""
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8"))
            for package in PRODUCT for path in sorted((ROOT / package).rglob("*.py"))}


@cache
def uses(path: str) -> dict[str, set[str]]:
    """{name of a compiled expression: what is done with it} in a file."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(sources()[path]):
        if isinstance(node, ast.Attribute) and node.attr in CALLS:
            name = getattr(node.value, "id", "") or getattr(node.value, "attr", "")
            found.setdefault(name, set()).add(node.attr)
    return found


def done_with(name: str, path: str) -> set[str]:
    """What is done with it, here or, when the name is public, anywhere; the worst when it is not
    used by its name."""
    found = uses(path).get(name, set())
    if not name.startswith("_"):
        found = found.union(*(uses(other).get(name, set()) for other in sources()))
    return found or {"search", "fullmatch"}


def value_of(node: ast.expr | None, path: str) -> Any:
    """What an expression of Python's is, as far as the names in it are the module's."""
    if node is None:
        return 0
    names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)} - {"re"}
    try:
        module = importlib.import_module(path[:-3].replace("/", ".").removesuffix(".__init__")) \
            if names else re
        return eval(compile(ast.Expression(node), path, "eval"), {"re": re, **vars(module)})
    except (NameError, ImportError):
        return None


def expressions() -> Iterator[Expression]:
    """Every one in the product: what `re` is called with, and every pattern=, which msgspec
    searches for."""
    for path, tree in sources().items():
        named = {id(node.value): target.id for node in ast.walk(tree)
                 if isinstance(node, ast.Assign | ast.AnnAssign)
                 for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
                 if isinstance(target, ast.Name)}
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call):
                continue
            given = {one.arg: one.value for one in call.keywords}
            pattern, flags = given.get("pattern"), given.get("flags")
            used, of = {"search"}, call.func
            if isinstance(of, ast.Attribute) and getattr(of.value, "id", "") == "re" \
                    and of.attr in {"compile", *CALLS}:
                pattern = call.args[0]
                at = {"compile": 1, "sub": 4, "subn": 4, "split": 3}.get(of.attr, 2)
                flags = call.args[at] if len(call.args) > at else flags
                used = {of.attr} if of.attr != "compile" else done_with(
                    named.get(id(call), "_"), path)
            if pattern is not None:
                yield Expression(path, pattern.lineno, ast.unparse(pattern),
                                 value_of(pattern, path), int(value_of(flags, path)),
                                 bool(used & SEARCHES), "fullmatch" in used)


def test_every_expression_is_linear() -> None:
    """Also against a text that was made for it."""
    faults, count, elsewhere = [], 0, set()
    for one in expressions():
        where = f"{one.path}:{one.line}: {one.text}: "
        count += 1
        if one.value is None:
            elsewhere.add((one.path, one.text))
            continue
        try:
            why = judge(one.value, one.flags, searched=one.searched, whole=one.whole)
        except Unjudged as error:
            why = f"{error} cannot be judged"
        faults += [where + why] if why else []
    assert elsewhere == set(ELSEWHERE), "write what is looked for into the source, as one literal"
    assert not faults, (
        "Anchor it, forbid in front of it what it repeats ((?<!x)x+), let neighbouring repetitions "
        "have no character in common, or scan by hand and add a line to SCANS:\n"
        + "\n".join(faults))
    assert count > 100  # they were found


def test_compiled_modules_have_no_expressions() -> None:
    """Where nobody judges them."""
    found = [str(path) for package in PRODUCT for path in (ROOT / package).rglob("*.pyx")
             if re.search(r"^\s*(?:c?import re\b|from re\b)", path.read_text(encoding="utf-8"),
                          re.MULTILINE)]
    assert not found


@pytest.mark.parametrize(("pattern", "how"), [
    ("(a+)+$", "m"), ("(a|a)*b", "m"), ("(a*)*b", "m"), ("(?:a?b?)*c", "m"), ("(a|b|ab)*c", "m"),
    ("(?:x+x+)y", "m"), (r"\s*\[*\s*x", "m"), (r"(\w+)\s*=", "s"), ("x[^y]*y", "s"), (".*x", "s"),
    (r"\[[^]]*\]", "s"), (r"\s*$", "s"), ("<([^>]*)>", "s"), (" +(?=[,.;:!?])", "s"),
    (r"\.{2,}(?= |$)", "s"), ("a(?:[ab]*c)?", "s"), ("(?:a(?:[ab]*c)?)*", "s"),
    (r'"(?:[^"\\]|\\.)*"', "s"), (r"^\s+|\s+$", "s"), (r"^https?://[^\s/]+[^\s]*$", "s"),
    (r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))', "s"), ("(?i:K+)[k\u212a]+x", "m"),
    (r"^[A-Z]+:\s*(?:\{[^}]*\}\s*)?(.*)$", "m"), ("a*?a*?b", "m"), ("[a-c]+[c-e]+", "w"),
    (r"(?:\d{1,300}){2}x", "m"), ("(?:ab|a|b){4,9}c", "m")])
def test_what_is_not_linear_is_found(pattern: str, how: str) -> None:
    """Searched for, matched, or matched as a whole."""
    assert "ways" in judge(pattern, searched=how == "s", whole=how == "w")


@pytest.mark.parametrize(("pattern", "how"), [
    ('"[^"]*"', "s"), (r"\s*$", "m"), ("[0-9]+", "s"), (r"(?<=\w)[ \t]*[\r\n]+", "s"),
    (r"(?<!\.)\.{2,}(?= |$)", "s"), ("(?:ab)*", "s"), (r"\b\w+=", "s"), (r",\s*", "s"),
    ("(?<![0-9a-f])[0-9a-f]{28}(?![0-9a-f])", "s"), (r"\x1b\[[0-9;]*m", "s"), (".*x", "m"),
    ("^.*x", "s"), ("(?:/[a-z]+)+", "w"), (r"^[^@\s]{1,64}@[a-z.]{1,190}\Z", "s"), ("a+", "w")])
def test_what_is_linear_passes(pattern: str, how: str) -> None:
    """The rule is not stricter than it has to be."""
    assert judge(pattern, searched=how == "s", whole=how == "w") == ""


@pytest.mark.parametrize("pattern", [
    r"(a)\1", "a(?=b*c)", "(?!ab)a", "(a)?(?(1)b|c)", "(?:a?){30}b"])
def test_what_cannot_be_judged_is_said(pattern: str) -> None:
    """It does not pass."""
    with pytest.raises(Unjudged):
        judge(pattern, searched=False, whole=False)


# -- scans --------------------------------------------------------------------------------------

class Scan(NamedTuple):
    """A function that reads a text from outside. call(its module, the text); the text: `before`,
    then each of `repeated` over and over, then each of `after`; lifted: its bounds, which do not
    count here."""

    module: str
    call: Callable[[Any, str], Any]
    before: str
    repeated: tuple[str, ...]
    after: tuple[str, ...] = ("",)
    lifted: tuple[str, ...] = ()


_SDP = "v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 8"
_OPEN = tuple('a"\\<>[](;:,=@ \t')
SCANS = [
    Scan("kemi.digest", lambda m, text: m.parse(text), "Digest ",
         (*_OPEN, "a=,", 'a="', 'a="\\', "a =", "é"), ("", '"', "=x"), ("MAX_HEADER",)),
    Scan("kemi.digest", lambda m, text: m.same_target(text, text + "x"), "sip:", _OPEN),
    Scan("kemi.identity", lambda m, text: m.user_of(text), "",
         (*_OPEN, "<sip:", 'a"', '"\\"', "sip:a;"), ("", "@x>"), ("MAX_NAME",)),
    Scan("kemi.identity", lambda m, text: m.name_of(text), '"', (*_OPEN, '\\"', "\u202e"),
         ("", '"'), ("MAX_NAME",)),
    Scan("kemi.calls", lambda m, text: m.read_mark(text), "<sip:x",
         (*_OPEN, ";vx=", ";vx=1.2", "f."), ("", ",")),
    Scan("kemi.uris", lambda m, text: m.addresses(text), "",
         (*_OPEN, "<a>,", '"<', "<", '"\\"'), ("", ">", '"'), ("MAX_HEADER", "MAX_ADDRESSES")),
    Scan("kemi.uris", lambda m, text: m.read_uri(text), "sip:",
         (*_OPEN, "a;", "[:", "a.", "1:"), ("", "@a", "]"), ("MAX_URI", "MAX_USER")),
    Scan("kemi.uris", lambda m, text: m.parameter(text, "tag"), "", (*_OPEN, ";tag", ";tag=")),
    Scan("kemi.framing", lambda m, text: m.look(text.encode()), "INVITE sip:a SIP/2.0\r\n",
         (*_OPEN, "a: b\r\n", "\r\n", "\n", "Via: a\r\n", "To: <\r\n", "a\r\n b\r\n", "\0"),
         ("", "\r\n\r\n"), ("MAX_HEADERS", "MAX_HEADER_BYTES")),
    Scan("routing_core.caller_names", lambda m, text: m.quoted(m.shown_name(text).decode()), "",
         (*_OPEN, "\x01a", "\u202e", "é")),
    Scan("rtp.sdp", lambda m, text: m.narrowed(m.read(text)), _SDP,
         (" 101", " 8", "\na=fmtp:8 1", "\na=rtpmap:101 x/8000", "\na=", "\nm=audio 4 RTP/AVP 8",
          "\r", "1", " ", "\na=sendrecv", "\nc=IN IP4 0.0.0.0"), ("",),
         ("MAX_BYTES", "MAX_STREAMS")),
    Scan("rtp.sdp", lambda m, text: m.ours(text, "1 1"), _SDP, ("\na=rtpmap:1", "\nc=IN ", "\r")),
    Scan("rtp.mixer", lambda m, text: m.write_answer(m.read_offer(text), "192.0.2.1", 4), _SDP,
         ("\nm=audio 4 RTP/AVP 8", "\na=rtpmap:1 telephone-event/8000", "\nc=IN IP4 1", "\r", " 8"),
         ("",), ("MAX_SDP",)),
    Scan("rtp.recording", lambda m, text: m.read_part(text), "x.pcap\n",
         ("a=rtpmap:1 x/\n", "SDP mode: answer\n", "m=audio 1 \n", "vaxel-start 1\n", "1", " ",
          "vaxel-codec 1 1 X\n", "0123456789abcdef012345678901\n", "SDP mode: \nm=audio 1")),
    Scan("rtp.keys", lambda m, text: (m.owner(text.encode()), m.read(text.encode())), '{"callid":',
         ('"callid":"1', "[", '"a":1,', "1"), ("", "}"), ("MAX_BYTES",)),
    Scan("rtp.speech", lambda m, text: m.clean(text), "a",
         ("a\n", " ", "[", "\r", "a ", "\0", "\u202e"), ("", "a"), ("MAX_TEXT",)),
    Scan("callcontrol.words", lambda m, text: (m.agent_paused(text, "sv"), m.digits(text, "fi")),
         "a", (".", " .", "<", "_", "1", "1.", " 1", "a ", "٣")),
    Scan("callcontrol.codes", lambda m, text: (
        m.read(text), [reader.press(key, 0) for reader in [m.KeyReader()]
                       for key in text]), "*", ("*", "1", "*2", "#", "**2")),
    Scan("callcontrol.sofia.body", lambda m, text: m.key_of("application/dtmf-relay", text), "",
         ("Signal=", "\r\n", " "), ("",), ("MAX_INFO",)),
    Scan("callcontrol.sofia.body", lambda m, text: m.sdp_of("multipart/mixed", "b", text), "--b",
         ("\r\n--b", "\r\n--b\r\nContent-Type: x\r\n\r\n", "\r\n", ":")),
    Scan("callcontrol.sofia.ua", lambda m, text: m._replaces("Replaces=" + text), "",
         ("&", "%3B", ";a=b", "%", "="), ("",)),
    Scan("store.words", lambda m, text: m.asked(text, 46), "", ("+ (", "0", "@", "a ", "a_", "ﷺ"),
         ("",), ("MAX_QUESTION",)),
    Scan("store.words", lambda m, text: m.words_of_entry([text], [], text), "",
         ("a ", "\u0301\u0323", "_", "ﷺ")),
    Scan("api.transfer.tables", lambda m, text: m.from_csv("contacts", text.encode()), "name",
         ("\r\na", ",name", ",", '\r\n"a"', '""', "\n"), ("", '"')),
    Scan("api.transfer.tables", lambda m, text: m.safe(text), "+", ("1", ".", "+")),
    Scan("api.calls.sheet", lambda m, text: m.cell(text), "+", ("1", ".", "+")),
    Scan("api.recordings.sound", lambda m, text: m.part_of(text, 100), "bytes=", ("1", " ", "-")),
    Scan("api.http.dispatch", lambda m, text: m.methods_of(text), "/v1", ("/", "/a", "{")),
    Scan("vaxel.settings", lambda m, text: m._line(text, "port"), "",
         (" ", "[", "\n", "port", "'", "port\n")),
    Scan("vaxel.logs", lambda m, text: m.foreign("edge", text, ""), "INFO:",
         (" ", "{", "\x1b[", "1", "a", "1("), ("", "\n"), ("MAX_LINE",)),
]


@contextlib.contextmanager
def as_sources() -> Iterator[None]:
    """kemi is compiled: here its modules are loaded from their text, and forgotten again."""
    class Finder:
        @staticmethod
        def find_spec(name: str, _path: object = None, _target: object = None) -> Any:
            path = ROOT / f"{name.replace('.', '/')}.py"
            return spec_from_file_location(name, path) \
                if name.startswith("kemi.") and path.exists() else None

    package = importlib.import_module("kemi")
    compiled = {name: sys.modules.pop(name) for name in list(sys.modules)
                if name.startswith("kemi.")}
    attributes = dict(vars(package))
    finder: Any = Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.startswith("kemi.")]:
            del sys.modules[name]
        sys.modules.update(compiled)
        vars(package).clear()
        vars(package).update(attributes)


@cache
def loaded(name: str) -> ModuleType:
    """The module, in Python."""
    with as_sources() if name.startswith("kemi.") else contextlib.nullcontext():
        return importlib.import_module(name)


def steps(work: Callable[[], object]) -> int:
    """The lines of the product that it runs, and the length of every text and list that a variable
    newly holds: a line may copy all that is left."""
    count = 0
    held: dict[FrameType, dict[str, object]] = {}

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        path = frame.f_code.co_filename
        if not path.startswith(f"{ROOT}/") or not path[len(str(ROOT)) + 1:].startswith(PRODUCT):
            return None
        count += 1
        known = held.setdefault(frame, {})
        for name, value in frame.f_locals.items():
            if isinstance(value, str | bytes | list | tuple | dict) \
                    and known.get(name) is not value:
                count += len(value)
                known[name] = value
        if event == "return":
            held.pop(frame)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with contextlib.suppress(MediaError, Problem, ValueError):  # refused: that takes time, too
            work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("scan", [pytest.param(one, id=f"{i}-{one.module}")
                                  for i, one in enumerate(SCANS)])
def test_scans_are_linear(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times the text, at most twelve times the steps."""
    module = loaded(scan.module)
    for name in scan.lifted:
        monkeypatch.setattr(module, name, 1 << 30)
    for unit in scan.repeated:
        for after in scan.after:
            def taken(size: int, unit: str = unit, after: str = after) -> int:
                text = scan.before + unit * (size // len(unit)) + after
                return steps(lambda: scan.call(module, text))

            taken(100)  # what is kept from then on
            few, many = taken(1000), taken(10_000)
            assert few > 0, "it runs no line of the product"
            assert many <= 12 * few, f"{unit!r} … {after!r}: {few} steps, then {many}"


def test_steps_find_what_is_not_linear() -> None:
    """A scan that cuts its text at every character, and one that looks back."""
    source = ("def cut(text):\n    while text:\n        text = text[1:]\n"
              "def back(text):\n    for i in range(len(text)):\n        for one in range(i):\n"
              "            pass\n"
              "def once(text):\n    return [one for one in text if one == 'a']\n")
    made: dict[str, Any] = {}
    exec(compile(source, str(ROOT / "rtp" / "made.py"), "exec"), made)

    def growth(name: str) -> float:
        return steps(lambda: made[name]("a" * 1000)) / steps(lambda: made[name]("a" * 100))

    assert growth("cut") > 50 and growth("back") > 50
    assert growth("once") < 12


def test_a_description_is_not_made_longer_than_it_came() -> None:
    """A payload type that is named over and over brings its parameters once."""
    from rtp import sdp

    text = (_SDP + " 101" * 4000 + "\na=rtpmap:101 telephone-event/8000\n"
            "a=fmtp:101 " + "x" * 15_000)
    assert len(sdp.narrowed(sdp.read(text))) < 2 * len(text)


@pytest.mark.parametrize("line", [
    f"m=audio {'1' * 5000} RTP/AVP 8", f"m=audio 4000 RTP/AVP {'8' * 5000}",
    f"m=audio 4000 RTP/AVP 8 {'1' * 5000}"])
def test_numbers_without_end_are_refused(line: str) -> None:
    """int() raises ValueError for more than 4 300 digits, which nobody waits for."""
    from rtp import sdp

    with contextlib.suppress(MediaError):
        sdp.read(f"v=0\nc=IN IP4 192.0.2.1\n{line}\n")


# -- many rows ----------------------------------------------------------------------------------

_QUEUE = {"id": -1, "name": "Q", "settings": {"type": "queue"}}
_SKILL = [{"name": "sv", "level": 1}]
COMPANIES: dict[str, Callable[[int], dict[str, Any]]] = {
    "members of a queue": lambda n: {
        "users": [{"id": -i - 1, "name": f"U{i}"} for i in range(n)], "services": [_QUEUE],
        "queue-members": [{"service": -1, "user": -i - 1, "skills": _SKILL} for i in range(n)]},
    "ways into a queue": lambda n: {"services": [_QUEUE, *(
        {"id": -i - 2, "name": f"W{i}", "settings": {
            "type": "queue_entry", "queue": -1, "skills": _SKILL}} for i in range(n))]},
    "prompts": lambda n: {"prompts": [{"id": -i - 1, "name": f"P{i}", "text": "x"}
                                      for i in range(n)]},
    "numbers of a group": lambda n: {
        "groups": [{"id": -1, "name": "G", "nobody": {"kind": "busy"}}],
        "numbers": [{"id": -i - 1, "e164": f"+4680{i:07d}", "kind": "direct", "target": {
            "kind": "group", "group": -1}} for i in range(n)]},
    "schedules": lambda n: {"schedules": [{"id": -i - 1, "name": f"S{i}"} for i in range(n)]},
}


def free(_table: str, row: Any, *_: Any) -> Any:
    """Everybody may make every row."""
    return row


@pytest.mark.parametrize("name", COMPANIES)
def test_an_import_is_linear(name: str, tmp_path: Path) -> None:
    """In its rows: what is asked for each of them is looked for once."""
    def taken(rows: int) -> int:
        store = SqliteStore(tmp_path / f"{rows}.db")
        store.migrate()
        found: list[int] = []

        def work(writer: SqliteWriter) -> None:
            writer.create(Tenant(id=1, name="T"))
            writer.create(Allotment(tenant=1, first="+46800000000", last="+46809999999"))
            for _ in range(2):  # new ones, and over what is there
                found.append(steps(lambda: Import(
                    COMPANIES[name](rows), "merge", free).run(writer, 1, False)))

        store.change("test", 1, "import", work)
        assert not store.find("tenant")[1:] and store.revision() == 1
        store.close()
        return sum(found)

    taken(10)
    assert taken(300) <= 12 * taken(30)


def test_a_chain_of_services_ends(tmp_path: Path) -> None:
    """Each of a chain is checked to its end, so that a chain has one."""
    store = SqliteStore(tmp_path / "x.db")
    store.migrate()

    def chain(length: int) -> dict[str, Any]:
        return {"prompts": [{"id": -1, "name": "P", "text": "x"}], "services": [
            {"id": -i - 1, "name": f"S{i}", "settings": {
                "type": "message", "prompt": -1, "next": {"kind": "service", "service": -i - 2}
                if i + 1 < length else None}} for i in range(length)]}

    def work(writer: SqliteWriter) -> None:
        writer.create(Tenant(id=1, name="T"))
        Import(chain(50), "merge", free).run(writer, 1, False)
        with pytest.raises(Problem, match="more than 50"):
            Import(chain(60), "replace", free).run(writer, 1, False)

    store.change("test", 1, "import", work)
    store.close()

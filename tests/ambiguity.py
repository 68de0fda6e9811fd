"""Whether a regular expression can take more than linear time, judged from the expression itself.

Python's `re` goes back and tries every way in which a text can be read. An expression is made into
an automaton (Glushkov's: a state for every character in the expression), and that is asked whether
a text that can be repeated has ways whose number grows with the repetitions (Weber and Seidl 1991):

    - two ways from a state back to itself by one text: 2**n ways in the end, `(a|a)*`, `(a*)*`;
    - a text that leads from p to p, from p to q and from q to q: n ways, or more, `a*a*`. Whatever
      is searched for begins with a state p of its own, which passes over any text: `x[^y]*y`, which
      starts at every x and reads on to the end each time, is found so.

It costs nothing to read on from a state in which the expression may end whatever follows, as `a+`
may: the first way is the match. So q, and both ways of the first kind, avoid those.

Back references, conditions and looks at more than one character are refused. Where this simplifies,
it is on the strict side: a possessive repetition is a greedy one, one of more than MANY has no end
(thousands of times n is nothing to be glad of either), one of fewer is done three times.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from re import _compiler, _parser  # type: ignore[attr-defined]
from re import _constants as sre  # type: ignore[attr-defined]
from typing import Any, NamedTuple

MANY = 20
#: Where a text begins and ends, in the place of a character.
EDGE = ""
#: Characters that classes may tell apart, besides those in the expression.
SAMPLE = frozenset(map(chr, (*range(0x180), 0x2B0, 0x300, 0x3C9, 0x661, 0x1E9E, 0x2028, 0x2126,
                             0x212A, 0x3000, 0x4E2D, 0xFF11, 0x1F600)))
_ONE = (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN)
_STARTS, _ENDS = (sre.AT_BEGINNING, sre.AT_BEGINNING_STRING), (sre.AT_END, sre.AT_END_STRING)

Chars = frozenset[str]
#: Where several ways are in the automaton, and the character that was read last.
Place = tuple[Any, ...]


class Unjudged(Exception):
    """What is in the expression that this does not understand."""


class Guard(NamedTuple):
    """What may stand before a place in the text, and behind it."""

    before: Chars
    behind: Chars

    def both(self, other: "Guard") -> "Guard":
        """This and the other one."""
        return Guard(self.before & other.before, self.behind & other.behind)


class Piece(NamedTuple):
    """A part of an expression: the states it begins and ends in, and the ways of being empty."""

    first: list[tuple[Guard, int]]
    last: list[tuple[Guard, int]]
    empty: list[Guard]


class Automaton:
    """States are numbers; 0 passes over what precedes a match, -1 is before the text."""

    def __init__(self, pattern: str | bytes, flags: int, searched: bool, whole: bool) -> None:
        tree = _parser.parse(pattern, flags)
        self._state = tree.state
        self._all = SAMPLE | {EDGE} | {chr(code + by) for code in _codes(tree) for by in (0, 1)}
        self._true = Guard(self._all, self._all)
        self._reads: dict[int, Chars] = {0: self._all - {EDGE}}
        self._edges: dict[int, list[tuple[Guard, int]]] = {}
        made = self._sequence(tree, tree.state.flags)
        for start in (-1, 0) if searched else (-1,):
            self._edges[start] = made.first + ([(self._true, 0)] if searched else [])
        #: States in which a match is certain.
        self.done = {at for guard, at in made.last if guard == self._true and not whole}
        kinds = [*self._reads.values(),
                 *(one for edges in self._edges.values() for guard, _ in edges for one in guard)]
        #: One character of each kind, the plainest: not all that the expression tells apart.
        self.alphabet = sorted({tuple(char in one for one in kinds): char for char in sorted(
            self._all - {EDGE}, key=lambda char: (char.isascii(), char.isalnum(), char))}.values())

    def steps(self, at: int, last: str, char: str) -> list[tuple[int, int]]:
        """(which edge, where to) for a character after another one."""
        return [(i, to) for i, (guard, to) in enumerate(self._edges.get(at, ()))
                if char in self._reads[to] and last in guard.before and char in guard.behind]

    # -- from the expression ------------------------------------------------------------------

    def _sequence(self, nodes: Iterable[Any], flags: int) -> Piece:
        made = Piece([], [], [self._true])
        for node in nodes:
            made = self._join(made, self._piece(node, flags))
        return made

    def _join(self, one: Piece, two: Piece) -> Piece:
        self._connect(one, two)
        return Piece(
            one.first + [(empty.both(guard), at) for empty in one.empty for guard, at in two.first],
            two.last + [(guard.both(empty), at) for guard, at in one.last for empty in two.empty],
            [a.both(b) for a in one.empty for b in two.empty][:4])

    def _connect(self, one: Piece, two: Piece) -> None:
        for guard, at in one.last:
            self._edges.setdefault(at, []).extend((guard.both(more), to) for more, to in two.first)

    def _piece(self, node: Any, flags: int) -> Piece:
        kind, value = node
        if kind in _ONE:
            at = len(self._reads)
            self._reads[at] = self._read_by(node, flags)
            return Piece([(self._true, at)], [(self._true, at)], [])
        if kind is sre.SUBPATTERN:
            return self._sequence(value[3], (flags | value[1]) & ~value[2])
        if kind is sre.ATOMIC_GROUP:
            return self._sequence(value, flags)
        if kind is sre.BRANCH:
            found = [self._sequence(one, flags) for one in value[1]]
            return Piece([way for one in found for way in one.first],
                         [way for one in found for way in one.last],
                         [way for one in found for way in one.empty])
        if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            return self._repeat(*value, flags)
        return Piece([], [], self._guards(kind, value, flags))

    def _repeat(self, least: int, most: int, body: Any, flags: int) -> Piece:
        plain = len(body) == 1 and body[0][0] in _ONE
        endless = most is sre.MAXREPEAT or most > (MANY if plain else 3)
        if most is not sre.MAXREPEAT and most > 1 and self._sequence(body, flags).empty:
            raise Unjudged("a counted repetition of what may be empty")
        made = self._sequence((), flags)
        for _ in range(min(least - bool(endless and least), 3)):
            made = self._join(made, self._sequence(body, flags))
        if endless:
            looped = self._sequence(body, flags)
            self._connect(looped, looped)
            return self._join(made, looped if least else looped._replace(empty=[self._true]))
        rest = self._sequence((), flags)
        for _ in range(min(most - least, 3)):  # x(x(x)?)?
            rest = self._join(self._sequence(body, flags), rest)
            rest = rest._replace(empty=[self._true, *rest.empty])
        return self._join(made, rest)

    def _guards(self, kind: Any, value: Any, flags: int) -> list[Guard]:
        """What a look at its surroundings asks for: any of these."""
        if kind in (sre.ASSERT, sre.ASSERT_NOT):
            beside = self._beside(value[1], flags)
            beside = self._all - beside if kind is sre.ASSERT_NOT else beside
            return [Guard(beside, self._all) if value[0] < 0 else Guard(self._all, beside)]
        if kind is sre.AT and value in _STARTS:
            return [Guard(self._beside([(kind, value)], flags), self._all)]
        if kind is sre.AT and value in _ENDS:
            return [Guard(self._all, self._beside([(kind, value)], flags))]
        if kind is sre.AT:
            word = frozenset(char for char in self._all if re.match(r"\w", char, flags & re.ASCII))
            sides = (word, self._all - word)
            return [Guard(one, two) for one in sides for two in sides
                    if (one is two) == (value is sre.AT_NON_BOUNDARY)]
        raise Unjudged(str(kind))

    def _beside(self, nodes: Any, flags: int) -> Chars:
        """What a look behind or ahead takes, which is a character or an end."""
        if len(nodes) != 1:
            raise Unjudged("a look at more than one character")
        kind, value = nodes[0]
        if kind is sre.BRANCH:
            return frozenset().union(*(self._beside(one, flags) for one in value[1]))
        if kind is sre.SUBPATTERN:
            return self._beside(value[3], flags)
        if kind is sre.AT and value in _STARTS + _ENDS:
            lines = value is sre.AT_END or (value is sre.AT_BEGINNING and flags & re.MULTILINE)
            return frozenset({EDGE, "\n"} if lines else {EDGE})
        if kind not in _ONE:
            raise Unjudged(f"a look at {kind}")
        return self._read_by(nodes[0], flags)

    def _read_by(self, node: Any, flags: int) -> Chars:
        one = _compiler.compile(_parser.SubPattern(self._state, [node]), flags)
        return frozenset(char for char in self._all if one.fullmatch(char))


def _codes(tree: Any) -> Iterator[int]:
    """Every number in it: characters among them."""
    for part in tree:
        if isinstance(part, int):
            yield min(max(part, 0), 0x10FFFE)
        elif isinstance(part, tuple | list | _parser.SubPattern):
            yield from _codes(part)


# -- what is asked of it ------------------------------------------------------------------------

def judge(pattern: str | bytes, flags: int = 0, *, searched: bool, whole: bool) -> str:
    """"" for an expression that is linear, else why it is not. searched: a match may begin
    anywhere; whole: it has to end with the text."""
    made = Automaton(pattern, flags, searched, whole)

    def onward(place: Place) -> Iterator[Place]:
        for char in made.alphabet:
            yield from ((to, char) for _, to in made.steps(*place, char))

    reached = _found({(-1, EDGE)}, onward)
    ways: dict[int, set[int]] = {}
    for place in reached:
        ways.setdefault(place[0], set()).update(to for to, _ in onward(place))
    after = {at: _found(to, ways.__getitem__) for at, to in ways.items()}
    loops = {at: {to for to in after[at] if at in after[to]} for at in after if at in after[at]}
    for p in sorted(loops):
        for last in sorted(char for at, char in reached if at == p):
            if p not in made.done and (word := _word(
                    (p, p, False, last), (p, p, True, last),
                    lambda place, within: _twice(made, place, within), loops[p] - made.done)):
                return f"2**n ways to read {word!r} n times"
            for q in sorted(after[p] & loops.keys() - made.done - {p}):
                if word := _word((p, p, q, last), (p, q, q, last), lambda place, within: _moved(
                        made, place, *within), (loops[p], loops[q] - made.done)):
                    return f"n ways to read {word!r} n times"
    return ""


def _found(begin: set[Any], onward: Callable[[Any], Iterable[Any]]) -> set[Any]:
    """They, and all that can be reached from them."""
    found, todo = set(begin), list(begin)
    while todo:
        new = set(onward(todo.pop())) - found
        found |= new
        todo += new
    return found


def _word(begin: Place, end: Place, onward: Callable[[Place, Any], Iterable[Place]],
          within: Any) -> str:
    """The shortest text that leads from one to the other; "" for none."""
    seen, todo = {begin}, deque([(begin, "")])
    while todo:
        place, word = todo.popleft()
        for new in onward(place, within):
            if new == end:
                return word + str(new[-1])
            if new not in seen:
                seen.add(new)
                todo.append((new, word + str(new[-1])))
    return ""


def _twice(made: Automaton, place: Place, within: set[int]) -> Iterator[Place]:
    """Two ways, and whether they are different ones."""
    a, b, apart, last = place
    for char in made.alphabet:
        for i, to in made.steps(a, last, char):
            for j, too in made.steps(b, last, char):
                if to in within and too in within:
                    yield to, too, apart or a != b or i != j, char


def _moved(made: Automaton, place: Place, back: set[int], there: set[int]) -> Iterator[Place]:
    """Three ways: round p, from p to q, and round q."""
    a, b, c, last = place
    for char in made.alphabet:
        for _, x in made.steps(a, last, char):
            for _, z in made.steps(c, last, char):
                if x in back and z in there:
                    yield from ((x, y, z, char) for _, y in made.steps(b, last, char))

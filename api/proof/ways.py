"""Ways through a company's routing: which go round at once, which lead somewhere."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator

from api.proof.graph import Edge, Graph, Node, Sure
from api.proof.hours import Moments


def _at_once(edge: Edge, sure: Sure) -> bool:
    return not edge.waits and edge.sure <= sure and edge.target is not None


def all_of(graph: Graph, edges: Iterable[Edge]) -> Moments:
    moments = graph.year.always
    for edge in edges:
        moments &= edge.moments
    return moments


def cycles(graph: Graph, sure: Sure, wanted: Callable[[Node], bool]) -> Iterator[list[Edge]]:
    """At least one cycle through every wanted node that is in one, of edges that are taken at once
    in the same moment."""
    ways = {node: [edge for edge in edges if _at_once(edge, sure)]
            for node, edges in graph.ways.items()}
    for part in _components(ways):
        edges = [edge for node in part for edge in ways[node] if edge.target in part]
        if not edges:
            continue
        covered: set[Node] = set()
        left = graph.year.always
        while left:
            moment = left & -left
            same = graph.year.always
            active: dict[Node, list[Edge]] = {node: [] for node in part}
            for edge in edges:
                if edge.moments & moment:
                    active[edge.source].append(edge)
                    same &= edge.moments
                else:
                    same &= ~edge.moments
            left &= ~same
            for node in part:
                if node in covered or not wanted(node):
                    continue
                cycle = _shortest(active, node)
                if cycle:
                    covered.update(edge.source for edge in cycle)
                    yield cycle


def _components(ways: dict[Node, list[Edge]]) -> list[dict[Node, None]]:
    """The strongly connected components, in Tarjan's way; nodes in the order they were found."""
    index: dict[Node, int] = {}
    low: dict[Node, int] = {}
    stack: dict[Node, None] = {}
    found: list[dict[Node, None]] = []
    for root in ways:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack[root] = None
        work = [(root, iter(ways[root]))]
        while work:
            node, edges = work[-1]
            for edge in edges:
                target = edge.target
                if target is None or target not in ways:
                    continue
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack[target] = None
                    work.append((target, iter(ways[target])))
                    break
                if target in stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    part: list[Node] = []
                    while not part or part[-1] != node:
                        part.append(stack.popitem()[0])
                    found.append(dict.fromkeys(reversed(part)))
    return found


def _shortest(ways: dict[Node, list[Edge]], node: Node) -> list[Edge]:
    """The shortest way from the node back to it; empty: there is none."""
    return _search(lambda at: ways.get(at, ()), [node], {node})[0]


def _search(ways: Callable[[Node], Iterable[Edge]], starts: Iterable[Node],
            goals: Collection[Node]) -> tuple[list[Edge], Node | None]:
    """(the shortest way of at least one edge to a goal, the goal)"""
    before: dict[Node, Edge | None] = dict.fromkeys(starts)
    waiting = deque(before)
    while waiting:
        for edge in ways(waiting.popleft()):
            target = edge.target
            if target is None or (target in before and target not in goals):
                continue
            if target in goals:
                way, back = [edge], before[edge.source]
                while back is not None:
                    way.append(back)
                    back = before[back.source]
                return way[::-1], target
            before[target] = edge
            waiting.append(target)
    return [], None


def way_to(graph: Graph, goals: Collection[Node], at: int) -> tuple[list[Edge], Node]:
    """The shortest way by which a call that comes in at that second gets to one of them, whatever
    has to happen on it; (none, one of them) when a call can begin there, or none gets there."""
    moment = graph.year.at(at)
    for _, node in graph.entries:
        if node in goals:
            return [], node
    way, goal = _search(lambda node: [edge for edge in graph.ways.get(node, ())
                                      if edge.moments & moment],
                        [node for _, node in graph.entries], goals)
    return way, goal or next(iter(goals))


def reached(graph: Graph, kind: str = "") -> list[Node]:
    """Where calls can get to, or those that come in by an entry of that kind."""
    found = dict.fromkeys(node for _, node in graph.entries if kind in ("", node[0]))
    waiting = list(found)
    while waiting:
        for edge in graph.ways.get(waiting.pop(), ()):
            if edge.target is not None and edge.target not in found:
                found[edge.target] = None
                waiting.append(edge.target)
    return [node for node in found if node in graph.ways]

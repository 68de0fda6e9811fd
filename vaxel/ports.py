"""Free ports of this machine, for demonstrations and tests."""

import secrets
import socket
from typing import Final

#: Below the range from which the system takes the ports of outgoing connections.
LOWEST, HIGHEST = 10_000, 32_000
TRIES: Final = 1000
#: So many at once are a media node's, and come from a range of their own.
BLOCK: Final = 100
BLOCKS_FROM, BLOCKS_TO = 32_000, 60_000
#: What this process has handed out, bound yet or not.
_given: set[int] = set()


def free_port(address: str = "127.0.0.1", spread: int = 1) -> int:
    """An even port that is free for UDP and TCP, with spread - 1 that follow it."""
    if spread >= BLOCK:
        return _block(spread)
    for _ in range(TRIES):
        port = LOWEST + 2 * secrets.randbelow((HIGHEST - LOWEST - spread) // 2)
        wanted = range(port, port + spread)
        if not _given.intersection(wanted) and all(is_free(address, n) for n in wanted):
            _given.update(wanted)
            return port
    raise OSError(f"no {spread} free ports on {address}")


def _block(spread: int) -> int:
    """Ports for a media node, which steps over those that are in use: only no other node's."""
    for _ in range(TRIES):
        port = BLOCKS_FROM + BLOCK * secrets.randbelow((BLOCKS_TO - BLOCKS_FROM - spread) // BLOCK)
        wanted = range(port, port + spread)
        if not _given.intersection(wanted):
            _given.update(wanted)
            return port
    raise OSError(f"no block of {spread} ports left")


def is_ours(address: str) -> bool:
    """Whether this machine has the address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def is_free(address: str, port: int) -> bool:
    """Whether a program could listen there, UDP and TCP."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True

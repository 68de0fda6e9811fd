from array import array

from routing_core.live import Live
from routing_core.snapshot import Snapshot

def walk(snapshot: Snapshot, live: Live, numbers: array[int], now: int) -> int: ...

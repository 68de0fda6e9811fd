"""The floor of a decision: the same tables walked in C, without Python, strings or rules.

number -> slot -> user -> presence -> line words -> device words, added up so that nothing can be
left out by the compiler. Keys are integers already.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from routing_core.layout cimport NumberRec, UserRec
from routing_core.live cimport Live
from routing_core.snapshot cimport Snapshot


def walk(Snapshot snapshot, Live live, uint64_t[::1] numbers, int64_t now):
    """The sum of what was read for all these numbers."""
    cdef uint64_t total = 0
    cdef Py_ssize_t i
    cdef NumberRec row
    cdef const UserRec *user
    cdef uint32_t id
    with nogil:
        for i in range(numbers.shape[0]):
            # The next walk begins when this one has ended, as calls do: the top bit of the sum is
            # never set, but the processor cannot know that and run ahead.
            if not snapshot.number(numbers[i + <Py_ssize_t>(total >> 63)], &row):
                continue
            id = <uint32_t>row.target
            user = snapshot.user(id)
            total += live.presence_word(id) + <uint64_t>live.line(id, now) + user.devices[0]
            total += user.ring_s
    return total

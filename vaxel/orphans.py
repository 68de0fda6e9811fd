"""What a supervisor leaves behind when it is killed.

Each process that it starts has a mark in its environment, which all that they start inherit: the
run, and the state directory. So they are known whatever they are called, and nothing else is taken
for one of them. A guard waits for the supervisor's end and ends them; if it was killed too, the
next start does.

python -m vaxel.orphans PID RUN STATE      the guard: waits for the end of the process PID
"""

import contextlib
import os
import select
import signal
import sys
from pathlib import Path
from typing import Final

MARK: Final = "VAXEL_SUPERVISED"
#: Who is killed may have started another one just before.
ROUNDS: Final = 10
END_S: Final = 2.0


def mark(state: Path, run: str) -> dict[str, str]:
    """The environment of everything that a run starts."""
    return {MARK: f"{run} {state.resolve()}"}


def find(state: Path, run: str = "") -> list[int]:
    """The processes of a state directory, of that run or of any; not the one that asks."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [pid for pid in pids if pid != os.getpid() and _is_of(pid, state, run)]


def _is_of(pid: int, state: Path, run: str) -> bool:
    try:
        surroundings = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is somebody else's
        return False
    prefix = f"{MARK}=".encode()
    told = next((one[len(prefix):] for one in surroundings if one.startswith(prefix)), b"")
    its_run, _, its_state = os.fsdecode(told).partition(" ")
    return its_state == str(state.resolve()) and run in ("", its_run)


def end(state: Path, run: str = "") -> list[int]:
    """Kill them, and wait until they are gone; which ones there were."""
    ended: list[int] = []
    for _ in range(ROUNDS):
        found = find(state, run)
        if not found:
            break
        ended += [pid for pid in found if pid not in ended and _kill(pid, state, run)]
    return ended


def _kill(pid: int, state: Path, run: str) -> bool:
    """By a descriptor: a number that is another process's by now is not meant."""
    with contextlib.suppress(ProcessLookupError):
        fd = os.pidfd_open(pid)
        try:
            if not _is_of(pid, state, run):
                return False
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            _ended(fd, END_S)
            return True
        finally:
            os.close(fd)
    return False


def _ended(fd: int, wait_s: float | None) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if wait_s is None else wait_s * 1000))


def main(arguments: list[str]) -> int:
    """The guard."""
    supervisor, run, state = int(arguments[0]), arguments[1], Path(arguments[2])
    with contextlib.suppress(ProcessLookupError):
        fd = os.pidfd_open(supervisor)
        if os.getppid() == supervisor:  # else it has ended already
            _ended(fd, None)
    end(state, run)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

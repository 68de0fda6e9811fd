"""The API process, killed and begun again: python -m api.app, or the same in a fork of a process
that has imported it already, which begins sooner."""

import multiprocessing
import os
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import api.app
from tests.exchange import ROOT

FORKS = multiprocessing.get_context("forkserver")


class Life(ABC):
    """A process that works for a state directory, from its beginning to its end, and again."""

    _process: Any = None

    def __init__(self, state: Path) -> None:
        self._state = state

    @abstractmethod
    def begin(self) -> None:
        """Start it."""

    @abstractmethod
    def alive(self) -> bool:
        """Whether it runs."""

    @abstractmethod
    def wait(self) -> None:
        """Until it has ended."""

    def kill(self) -> None:
        """SIGKILL; it is gone when this returns. It has not ended before, by itself."""
        assert self.alive(), (self._state / "output").read_text()[-3000:]
        os.kill(self._process.pid, signal.SIGKILL)
        self.wait()

    def close(self) -> None:
        """It does not go on."""
        if self.alive():
            self.kill()


class Real(Life):
    """As the supervisor starts it."""

    _process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start it."""
        with (self._state / "output").open("ab") as output:
            self._process = subprocess.Popen([sys.executable, "-m", "api.app", str(self._state)],
                                             cwd=ROOT, stdout=output, stderr=output)

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def wait(self) -> None:
        """Until it has ended."""
        assert self._process is not None
        self._process.wait()


class Fork(Life):
    """The same program without the second that its imports take, or another one: work(state)."""

    _process: BaseProcess | None = None

    def __init__(self, state: Path, work: Callable[[Path], None] | None = None) -> None:
        super().__init__(state)
        self._work = work or _serve

    def begin(self) -> None:
        """Start it."""
        self._process = FORKS.Process(target=_run, args=(self._work, self._state), daemon=True)
        self._process.start()

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.is_alive()

    def wait(self) -> None:
        """Until it has ended."""
        assert self._process is not None
        self._process.join()


def _run(work: Callable[[Path], None], state: Path) -> None:
    with (state / "output").open("ab") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    work(state)


def _serve(state: Path) -> None:
    sys.argv = ["api.app", str(state)]
    api.app.main()

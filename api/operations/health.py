"""Health: every dependency asked at the same time, none for longer than a bound.

What was found is good for a second: asking for it often is no way to load the exchange. It is asked
now and then without being asked for, so that `since` is true.
"""

import asyncio
import time
from typing import Final, Literal

import structlog

from api.operations.checks import CHECKS, ESSENTIAL, READY, Around, Check, Finding
from api.operations.shapes import Dependency, HealthShown, Ready

log = structlog.get_logger()

#: No check takes longer.
BOUND_S: Final = 0.3
#: How long a finding is told again, and how often it is looked without being asked.
GOOD_FOR_S, LOOK_S = 1.0, 5.0
#: Highest delay of the event loop over this many naps, each so long.
NAPS, NAP_S = 30, 0.5


class Health:
    """health = Health(around); await health.shown()"""

    def __init__(self, around: Around, checks: dict[str, Check] = CHECKS) -> None:
        self.around = around
        self._checks = checks
        self._looking: asyncio.Task[None] | None = None
        self._looked_s = -GOOD_FOR_S
        self._seen: dict[str, tuple[str, int]] = {}  # name: (state as found, since)
        self._jobs: list[asyncio.Task[None]] = []
        self._naps: list[float] = []
        self.dependencies: list[Dependency] = []
        self.at_ms = 0

    @property
    def loop_lag_s(self) -> float:
        """How late this process's event loop was at most, lately."""
        return max(self._naps, default=0.0)

    async def open(self) -> None:
        """Begin to look by itself."""
        await self.around.open()
        self._jobs = [asyncio.create_task(self._keep_looking()), asyncio.create_task(self._nap())]

    async def close(self) -> None:
        """See open()."""
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self.around.close()

    async def _keep_looking(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def _nap(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(NAP_S)
            self._naps = [*self._naps[1 - NAPS:], max(time.monotonic() - began - NAP_S, 0.0)]

    async def look(self) -> None:
        """Have findings that are not older than a second; all who ask at once wait for one look."""
        if time.monotonic() - self._looked_s < GOOD_FOR_S:
            return
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        await asyncio.shield(self._looking)

    async def _look(self) -> None:
        found = await asyncio.gather(*(self._bounded(name, check)
                                       for name, check in self._checks.items()))
        self.at_ms = self.around.now_ms()
        self.dependencies = [self._told(finding) for findings in found for finding in findings]
        self._looked_s = time.monotonic()

    async def _bounded(self, name: str, check: Check) -> list[Finding]:
        try:
            async with asyncio.timeout(BOUND_S):
                return list(await check(self.around))
        except TimeoutError:
            return [Finding(name, "down", f"no answer within {BOUND_S * 1000:.0f} ms")]
        except Exception as error:
            if self._seen.get(name, ("", 0))[0] != "down":
                log.warning("health", check=name, exc_info=error)
            return [Finding(name, "down", f"it cannot be looked at: {type(error).__name__}")]

    def _told(self, finding: Finding) -> Dependency:
        state, since_ms = self._seen.get(finding.name, ("", 0))
        if state != finding.state:
            since_ms = self.at_ms
            self._seen[finding.name] = finding.state, since_ms
        if self.at_ms - since_ms < finding.patience_ms:
            return Dependency(name=finding.name, state="ok", problem="", since_ms=since_ms,
                              facts=finding.facts)
        return Dependency(name=finding.name, state=finding.state, problem=finding.problem,
                          since_ms=since_ms, facts=finding.facts)

    @property
    def status(self) -> Literal["ok", "degraded", "down"]:
        """Of everything together. Warnings are for people."""
        if any(one.state == "down" and one.name in ESSENTIAL for one in self.dependencies):
            return "down"
        bad = any(one.state in ("degraded", "down") for one in self.dependencies)
        return "degraded" if bad else "ok"

    async def shown(self) -> HealthShown:
        """Everything. Revisions and heartbeat are read anew."""
        await self.look()
        around = self.around
        around.kernel.refresh()
        state = next(one.state for one in self.dependencies if one.name == "store")
        try:
            revision = around.store.revision()
        except Exception:
            revision, state = 0, "down"
        return HealthShown(
            status="down" if state == "down" else self.status, at_ms=self.at_ms, store=state,
            media_nodes_up=around.live.media_up.bit_count(),
            keeper_seen_ms_ago=max(around.now_ms() - around.live.heartbeat_ms, 0),
            revision=revision, published=around.kernel.snapshot.revision,
            dependencies=self.dependencies)

    async def ready(self) -> Ready:
        """Whether requests are welcome here."""
        await self.look()
        problems = [f"{one.name}: {one.problem}" for one in self.dependencies
                    if one.name in READY and one.state == "down"]
        return Ready(ready=not problems, problems=problems)

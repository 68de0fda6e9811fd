"""A thousand callers who listen to a menu at once, through the whole exchange: is what they hear
right, and what does it cost?

They come from a trunk to a number that leads to a menu, whose prompt is a tone of a minute, and all
stay until the last one has listened for a while. A random sample of them has a socket each. Nobody
reads it meanwhile: the system notes when each packet came, and everything is looked at afterwards,
so that listening costs no time. A caller of the sample heard it right when the tone is what the
spectrum of its sound consists of, and no packet came later than 60 ms after the one before.

Where a thousand are too many for the machine, the highest number that all heard right is searched,
a tenth of the number near; unless twenty do not hear it right either.
"""

import contextlib
import io
import itertools
import random
import socket
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile

from benchmarks.driving import Quiet, cpu_s
from rtp.recording import Decoder
from tests.exchange import Exchange
from tests.sipp import calling

TONE_HZ = 620
PROMPT_S = 100
#: Calls a second until all are there.
RATE = 40
LISTEN_S = 12
SAMPLE = 40
#: So many are no load.
FEW = 20
MAX_GAP_S = 0.06
#: In the place of the time of what never came.
NEVER_S = 999.0
#: Of the energy of what was heard, this much is the tone, 20 Hz around it.
PURE = 0.9
PARTS = {"edge": "kamailio", "call_control": "callcontrol.process", "rtpengine": "rtpengine"}
SO_TIMESTAMPNS = 35


class Heard(NamedTuple):
    """What one caller of the sample was sent. start_s: after its INVITE."""

    packets: int
    lost: int
    gap_s: float
    pure: float
    start_s: float

    @property
    def right(self) -> bool:
        """As it should be, up to single packets that the machine lost."""
        return self.packets > 50 * LISTEN_S / 2 and self.gap_s <= MAX_GAP_S and self.pure >= PURE


def ear() -> socket.socket:
    """A socket that keeps two minutes of packets and when they came."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    made.bind(("127.0.0.2", 0))
    made.setblocking(False)
    return made


def packets(sock: socket.socket) -> Iterator[tuple[float, bytes]]:
    """(Unix time, RTP packet) of all that came, in order."""
    with contextlib.suppress(BlockingIOError):
        while True:
            data, notes, _, _ = sock.recvmsg(2048, 64)
            seconds, nanos = struct.unpack("qq", notes[0][2])
            if len(data) > 12 and not 64 <= data[1] & 127 <= 95:
                yield seconds + nanos / 1e9, data


def heard(sock: socket.socket, invited: float) -> Heard:
    """Look at what came."""
    got = list(packets(sock))
    if len(got) < 2:
        return Heard(len(got), 0, NEVER_S, 0.0, NEVER_S)
    times = [at for at, _ in got]
    numbers = np.array([struct.unpack_from(">H", data, 2)[0] for _, data in got])
    steps = np.diff(numbers) % 65536
    sound = Decoder("PCMA", 8000).decode(b"".join(data[12:] for _, data in got)).astype(float)
    energy = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    near = np.abs(np.fft.rfftfreq(len(sound), 1 / 8000) - TONE_HZ) <= 10
    return Heard(len(got), int(np.sum(steps[(steps > 1) & (steps < 1000)] - 1)),
                 max(b - a for a, b in itertools.pairwise(times)),
                 float(energy[near].sum() / max(energy.sum(), 1.0)), times[0] - invited)


def listen(exchange: Exchange, number: str, callers: int, seed: int) -> dict[str, Any]:
    """So many callers at once; what they heard and what it cost."""
    chosen = sorted(random.Random(seed).sample(range(callers), min(SAMPLE, callers)))
    ears = {caller: ear() for caller in chosen}
    parts = {name: exchange.pids(process) for name, process in PARTS.items()}
    ramp_s = callers / RATE
    with contextlib.ExitStack() as stack:
        for each in ears.values():
            stack.callback(each.close)
        deaf = stack.enter_context(contextlib.closing(ear()))  # nobody reads it: it overflows
        ports = [ears.get(caller, deaf).getsockname()[1] for caller in range(callers)]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vaxel-bench-")))
        (folder / "ports").write_text("SEQUENTIAL\n" + "".join(f"{port}\n" for port in ports))
        line = Quiet(calling("+46701112233", 200, talk_ms=int((ramp_s + LISTEN_S + 6) * 1000))
                     .replace("[media_port]", "[field0]"), address="127.0.0.2",
                     remote=exchange.sip, service=number, calls=callers, rate=RATE)
        line._arguments += ["-inf", str(folder / "ports")]
        before = {name: sum(map(cpu_s, pids)) for name, pids in parts.items()}
        began = time.time()
        stack.enter_context(line)
        time.sleep(ramp_s + 3)
        there = {name: sum(map(cpu_s, pids)) for name, pids in parts.items()}
        time.sleep(LISTEN_S)
        after = {name: sum(map(cpu_s, pids)) for name, pids in parts.items()}
        found = [heard(sock, began + caller / RATE) for caller, sock in ears.items()]
        went = line.went(ramp_s * 2 + 60)
    right = sum(each.right for each in found)
    sent = sum(each.packets + each.lost for each in found)
    return {
        "callers": callers, "failed": went.failed, "sample": len(found), "sample_right": right,
        "all_right": went.failed == 0 and right == len(found),
        "lost_percent": round(100 * sum(each.lost for each in found) / max(sent, 1), 3),
        "gap_ms_max": round(1000 * max(each.gap_s for each in found), 1),
        "gap_ms_median": round(1000 * statistics.median(each.gap_s for each in found), 1),
        "pure_min": round(min(each.pure for each in found), 4),
        "start_ms_median": round(1000 * statistics.median(each.start_s for each in found)),
        "start_ms_max": round(1000 * max(each.start_s for each in found)),
        "all_heard_s": round(max(each.start_s + caller / RATE
                                 for caller, each in zip(ears, found, strict=True)), 1),
        "setup_ms_cpu": {name: round((there[name] - before[name]) / callers * 1e3, 2)
                         for name in parts if name != "rtpengine"},  # which plays meanwhile
        "listening_cores": {name: round((after[name] - there[name]) / LISTEN_S, 3)
                            for name in parts}}


def prompt() -> bytes:
    """The tone, as a sound file."""
    samples = np.sin(2 * np.pi * TONE_HZ * np.arange(PROMPT_S * 8000) / 8000) * 0.3
    file = io.BytesIO()
    soundfile.write(file, samples, 8000, format="WAV", subtype="PCM_16")
    return file.getvalue()


def menu(exchange: Exchange) -> str:
    """A number that leads to the menu."""
    company = exchange.company()
    made = company.post("prompts", {"name": "Tone", "text": ""})["id"]
    answer = exchange.client._http.put(f"{company.base}/prompts/{made}/audio", content=prompt())
    answer.raise_for_status()
    service = company.post("services", {"name": "Menu", "settings": {
        "type": "menu", "prompt": made, "first_digit_s": 30, "tries": 10,
        "choices": [{"key": "1", "target": {"kind": "busy"}}]}})["id"]
    return company.main({"kind": "service", "service": service})


def run(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures of a thousand callers, and the highest number that all heard right."""
    wanted = 60 if quick else 1000
    with Exchange(workers=2, shared_memory_mb=256, rtp_first=40_000, rtp_last=59_999,
                  control_processes=2) as exchange:
        exchange.trunk("127.0.0.2", 5060)
        number = menu(exchange)
        listen(exchange, number, FEW, 0)  # the prompt's files are read for the first time
        def tried(callers: int) -> dict[str, Any]:
            found = listen(exchange, number, callers, callers)
            say(f"  {found}")
            return found

        few = tried(FEW)
        result = best = tried(wanted)
        low, high = (wanted, wanted) if result["all_right"] else (FEW, wanted)
        if not few["all_right"]:
            low = high = 0
        while high - low > max(high // 10, 5):
            found = tried((low + high) // 2)
            if found["all_right"]:
                low, best = found["callers"], found
            else:
                high = found["callers"]
        return result | {"highest_all_right": low, "at_highest": best if FEW < low < wanted else {},
                         "gap_ms_max_at_20": few["gap_ms_max"]}

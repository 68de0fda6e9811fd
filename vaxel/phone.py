"""A telephone for demonstrations and tests: baresip, which sends a tone and keeps what it hears.

It is driven over its control socket (netstrings of JSON). Its audio is a sine of a chosen
frequency; what it receives is written to a WAV, in which hears() looks for another's tone.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import numpy as np
import soundfile

from vaxel.ports import free_port

MODULES = Path("/usr/lib/baresip/modules")


class PhoneError(Exception):
    """The telephone did not do what was expected in time."""


class Phone:
    """with Phone(folder, "anna", secret, server) as phone: phone.dial("100")"""

    def __init__(self, folder: Path, user: str, secret: str, server: str, *, tone_hz: int = 440,
                 address: str = "127.0.0.1", answer: str = "manual", register: bool = True,
                 transport: str = "udp") -> None:
        """server: host:port; answer: "auto" or "manual"; register False: a carrier."""
        self.folder = folder
        self.user = user
        self.server = server
        self.address = address
        self.port = free_port(address, spread=64)
        self.events: list[dict[str, Any]] = []
        self._control_port = free_port("127.0.0.1")
        self._buffer = b""
        self._register = register
        self._transport = transport
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        samples = 0.5 * np.sin(2 * np.pi * tone_hz * np.arange(8000 * 120) / 8000)
        soundfile.write(folder / "tone.wav", samples, 8000, subtype="PCM_16")
        domain = server if register else f"{address}:{self.port}"
        account = f"<sip:{user}@{domain};transport={transport}>;answermode={answer}"
        account += f";auth_user={user};auth_pass={secret};regint=120" if register else ";regint=0"
        (folder / "accounts").write_text(account + "\n")
        (folder / "config").write_text("\n".join([
            "poll_method epoll", "call_local_timeout 120", "call_max_calls 8",
            f"audio_player aufile,{folder / 'player.wav'}",
            f"audio_source aufile,{folder / 'tone.wav'}", "ausrc_format s16", "auplay_format s16",
            "auenc_format s16", "audec_format s16", "audio_buffer 20-160",
            f"rtp_ports {self.port + 2}-{self.port + 60}", "jitter_buffer_delay 1-5",
            f"module_path {MODULES}", "module g711.so", "module aufile.so", "module sndfile.so",
            "module_tmp uuid.so", "module_tmp account.so", "module_app ctrl_tcp.so",
            "module_app menu.so", f"ctrl_tcp_listen 127.0.0.1:{self._control_port}",
            # Else its descriptions say the address of some network, and its sound comes from here.
            "net_interface 127.0.0.1",
            f"sip_listen {address}:{self.port}", f"snd_path {folder}", "",
        ]))

    # -- life ---------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def _start(self) -> None:
        program = shutil.which("baresip")
        if program is None:
            raise PhoneError("baresip is not installed: apt-get install baresip-core")
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-f", str(self.folder)], stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, env={**os.environ, "HOME": str(self.folder)})
        until = time.monotonic() + 10
        while True:
            try:
                self._control = socket.create_connection(("127.0.0.1", self._control_port), 1)
                break
            except OSError as error:
                if time.monotonic() > until or self.ended():
                    raise PhoneError(f"{self.user}: baresip did not start: {self.log()}") from error
                self._process_wait(0.05)
        while self._register and " 200 OK " not in self.log():
            # The event may have come before the control socket was there; the log has it.
            if time.monotonic() > until:
                raise PhoneError(f"{self.user} could not register: {self.log()}")
            self._process_wait(0.05)

    def __exit__(self, *_error: object) -> None:
        self._control.close()
        self._end()

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ended(self) -> bool:
        """Whether baresip has ended by itself."""
        return self._process is None or self._process.poll() is not None

    def _process_wait(self, seconds: float) -> None:
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)

    def log(self) -> str:
        """The end of what baresip printed."""
        return (self.folder / "log").read_text(errors="replace")[-1500:]

    # -- what it does -------------------------------------------------------------------------

    def command(self, name: str, parameters: str = "") -> None:
        """Send a command."""
        body = json.dumps({"command": name, "params": parameters, "token": name}).encode()
        self._control.sendall(b"%d:%s," % (len(body), body))

    def dial(self, target: str) -> None:
        """Call a number or an extension."""
        host = self.server if "@" not in target else ""
        self.command("dial", f"sip:{target}@{host}" if host else target)

    def answer(self) -> None:
        """Take the call that rings."""
        self.command("accept")

    def hang_up(self) -> None:
        """End or refuse the call."""
        self.command("hangup")

    # -- what happens -------------------------------------------------------------------------

    def wait(self, kind: str, seconds: float = 10) -> dict[str, Any]:
        """The next event of that type, from those that came since the last wait; PhoneError."""
        until = time.monotonic() + seconds
        while True:
            while self.events:
                event = self.events.pop(0)
                if event.get("type") == kind:
                    return event
            left = until - time.monotonic()
            if left <= 0:
                raise PhoneError(f"{self.user}: no {kind} within {seconds} s: {self.log()}")
            self._read(left)

    def has(self, kind: str) -> bool:
        """Whether such an event has come and was not waited for."""
        self._read(0.01)
        return any(event.get("type") == kind for event in self.events)

    def _read(self, seconds: float) -> None:
        self._control.settimeout(seconds)
        try:
            data = self._control.recv(65536)
        except TimeoutError:
            return
        if not data:
            raise PhoneError(f"{self.user}: baresip has ended: {self.log()}")
        self._buffer += data
        while b":" in self._buffer:
            size, _, rest = self._buffer.partition(b":")
            if not size.isdigit() or len(rest) <= int(size):
                break
            body, self._buffer = rest[:int(size)], rest[int(size) + 1:]
            message = json.loads(body)
            if message.get("event"):
                self.events.append(message)

    # -- listening ----------------------------------------------------------------------------

    def hears(self, tone_hz: int) -> bool:
        """Whether the tone is the loudest in the last second that was received."""
        return any(loudest(path) == round(tone_hz, -1) for path in self.folder.glob("*-dec.wav"))


def loudest(path: Path, channel: int = 0) -> int:
    """The loudest frequency of the last second of a recording, to 10 Hz; 0 = silence."""
    try:
        data, rate = soundfile.read(path, always_2d=True)
    except soundfile.LibsndfileError:
        return 0
    return loudest_of(data[:, channel], rate)


def loudest_of(samples: Any, rate: int) -> int:
    """The loudest frequency of the last second, to 10 Hz; 0 = silence or too short."""
    last = samples[-rate:]
    if len(last) < rate // 4 or float(np.abs(last).max()) < 0.01:
        return 0
    spectrum = np.abs(np.fft.rfft(last * np.hanning(len(last))))
    return int(round(int(spectrum.argmax()) * rate / len(last), -1))

"""The command line of a media node (rtpengine)."""

import shutil
from pathlib import Path

from vaxel.settings import Settings

#: rtpengine's log levels; what it calls "info" is a page for each call.
LEVELS = {"debug": 7, "info": 4, "warning": 4, "error": 3}


def recordings(state: Path, node: int) -> Path:
    """Where the node leaves what it records; each has a directory of its own."""
    return state / "media" / f"node{node}"


def prepare(state: Path, settings: Settings) -> None:
    """Make the directories."""
    for node in range(settings.media_nodes):
        recordings(state, node).mkdir(parents=True, exist_ok=True, mode=0o700)


def command(state: Path, settings: Settings, node: int,
            marks: tuple[str, str] | None = None) -> list[str]:
    """Arguments that start it in the foreground. marks: what it puts around the words of others
    in its log."""
    share = (settings.rtp_last - settings.rtp_first + 1) // settings.media_nodes
    first = (settings.rtp_first + node * share + 1) // 2 * 2
    program = shutil.which("rtpengine") or "/usr/bin/rtpengine"
    capture = [f"--homer={settings.hep_capture}", "--homer-protocol=udp",
               f"--homer-id={settings.hep_id}"] if settings.hep_capture else []
    redacted = [f"--log-mark-prefix={marks[0]}", f"--log-mark-suffix={marks[1]}"] if marks else []
    return [program, "--foreground", "--log-stderr",
            f"--log-level={LEVELS[settings.log_level]}", "--table=-1",
            f"--interface={settings.address}",
            f"--listen-ng=127.0.0.1:{settings.media_ports()[node]}",
            f"--listen-http=127.0.0.1:{settings.media_http_ports()[node]}",
            "--listen-cli=",
            f"--port-min={first}", f"--port-max={first + share - 2}",
            "--timeout=60", "--silent-timeout=3600", "--final-timeout=21600",
            f"--dtmf-log-dest=127.0.0.1:{settings.keys_port}",
            "--delete-delay=0", "--endpoint-learning=off", "--num-threads=2",
            "--poller-per-thread",  # two that read one socket make more keys of those pressed
            "--recording-method=pcap", f"--recording-dir={recordings(state, node)}",
            f"--pidfile={recordings(state, node) / 'pid'}", *capture, *redacted]

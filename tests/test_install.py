"""vaxel install: into a directory as for an image, checked by systemd's own tool, and run."""

import configparser
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from routing_core import mapping
from tests.exchange import ROOT, eventually
from vaxel import settings
from vaxel.install import install, pieces, uninstall
from vaxel.ports import free_port
from vaxel.running import notify

UNITS = ("vaxel.service", "vaxel-backup.service", "vaxel-backup.timer")


def unit(root: Path, name: str) -> configparser.ConfigParser:
    """A unit, as far as an ini file goes."""
    found = configparser.ConfigParser(strict=False, interpolation=None)
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read(root / "etc/systemd/system" / name)
    return found


@pytest.fixture
def root() -> Iterator[Path]:
    """A machine's files; the path is short, for sockets lie below it."""
    with tempfile.TemporaryDirectory(prefix="vaxel-root-") as folder:
        yield Path(folder)


def contents(root: Path) -> dict[str, tuple[int, bytes]]:
    """{name: (mode, content)}."""
    return {path.relative_to(root).as_posix(): (path.stat().st_mode, path.read_bytes())
            for path in root.rglob("*") if path.is_file() and not path.is_symlink()}


def test_a_dry_run_writes_nothing(root: Path) -> None:
    """And says what it would do."""
    said = install(root, dry_run=True)
    assert any("vaxel.service" in line for line in said)
    assert list(root.iterdir()) == []


def test_everything_is_there_and_a_second_time_nothing_changes(root: Path) -> None:
    """Idempotent; what the operator wrote into the settings stays."""
    install(root, dry_run=False)
    first = contents(root)
    assert {piece.path.as_posix() for piece in pieces()} < set(first)
    assert first["etc/vaxel/vaxel.toml"][0] & 0o777 == 0o640
    assert (root / "var/lib/vaxel").stat().st_mode & 0o777 == 0o700
    assert (root / "var/lib/vaxel/vaxel.toml").samefile(root / "etc/vaxel/vaxel.toml")
    (root / "etc/vaxel/vaxel.toml").write_text("ping_s = 44\n")
    said = install(root, dry_run=False)
    assert {line.split()[0] for line in said} == {"unchanged", "kept"}
    assert contents(root) | {"etc/vaxel/vaxel.toml": first["etc/vaxel/vaxel.toml"]} == first
    assert (root / "etc/vaxel/vaxel.toml").read_text() == "ping_s = 44\n"


def test_a_changed_unit_is_written_again(root: Path) -> None:
    """As after an upgrade."""
    install(root, dry_run=False)
    path = root / "etc/systemd/system/vaxel.service"
    good = path.read_text()
    path.write_text("[Service]\n")
    assert "replaced   /etc/systemd/system/vaxel.service" in install(root, dry_run=False)
    assert path.read_text() == good


def test_uninstall_keeps_data_and_settings(root: Path) -> None:
    """And nothing else."""
    install(root, dry_run=False)
    (root / "var/lib/vaxel/vaxel.db").write_text("data")
    before = contents(root)
    uninstall(root, dry_run=True)
    assert contents(root) == before
    uninstall(root, dry_run=False)
    assert set(contents(root)) == {"etc/vaxel/vaxel.toml", "var/lib/vaxel/vaxel.db"}


def test_systemd_takes_the_units(root: Path) -> None:
    """systemd-analyze verify; what the units say is what a real installation needs."""
    install(root, dry_run=False)
    program = shutil.which("systemd-analyze")
    if program:
        done = subprocess.run([program, "verify", "--man=no", *(
            str(root / "etc/systemd/system" / name) for name in UNITS)],
            capture_output=True, text=True, timeout=60)
        faults = [line for line in done.stderr.splitlines() if "vaxel" in line]
        assert not faults, done.stderr
    service = unit(root, "vaxel.service")["Service"]
    wanted = {"User": "vaxel", "Type": "notify", "Restart": "always", "NoNewPrivileges": "yes",
              "ProtectSystem": "strict", "StateDirectory": "vaxel", "KillMode": "mixed"}
    assert {name: service[name] for name in wanted} == wanted
    assert int(service["LimitNOFILE"]) >= 65536 and int(service["WatchdogSec"]) > 0
    assert service["WatchdogSignal"] == "SIGKILL"  # no other ends what is stopped
    assert "@" not in (root / "etc/systemd/system/vaxel.service").read_text()


def test_notify(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """To a path and to an abstract name; nothing without systemd."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    for address, name in ((str(tmp_path / "s"), str(tmp_path / "s")),
                          ("\0vaxel-test-notify", "@vaxel-test-notify")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
            there.bind(address)
            there.settimeout(5)
            monkeypatch.setenv("NOTIFY_SOCKET", name)
            notify("READY=1")
            assert there.recv(100) == b"READY=1"


def test_the_service_as_it_is_written(root: Path) -> None:
    """The line of ExecStart, run below the directory: it gets ready, health answers, the command
    and the backup's line work, and it ends when it is told to."""
    install(root, dry_run=False)
    first = free_port(spread=40)
    rtp = free_port(spread=200)
    (root / "etc/vaxel/vaxel.toml").write_text("\n".join([
        *(f"{name} = {first + offset}" for name, offset in (
            ("sip_port", 0), ("tls_port", 2), ("api_port", 4), ("rpc_port", 6),
            ("media_port", 8), ("control_port", 20), ("keys_port", 30))),
        f"rtp_first = {rtp}", f"rtp_last = {rtp + 199}", "workers = 1", "shared_memory_mb = 64"]))
    state = root / "var/lib/vaxel"
    service = unit(root, "vaxel.service")["Service"]
    words = shlex.split(service["ExecStart"].replace("/var/lib/vaxel", str(state)))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, \
            (root / "journal").open("wb") as journal:
        systemd.bind(str(root / "notify"))
        systemd.settimeout(60)
        process = subprocess.Popen(
            words, cwd=service["WorkingDirectory"], stdout=journal, stderr=journal,
            stdin=subprocess.DEVNULL, env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "NOTIFY_SOCKET": str(root / "notify"),
                "WATCHDOG_USEC": "3000000"})
        try:
            said = []
            while "READY=1" not in said:
                said.append(systemd.recv(1000).decode())
            assert "WATCHDOG=1" in said
            health = eventually(lambda: httpx.get(
                f"http://127.0.0.1:{first + 4}/v1/health").json(), 10)
            assert health["store"] == "ok"
            command = (root / "usr/local/bin/vaxel").read_text().replace(
                "--state /var/lib/vaxel", f"--state {state}")
            (root / "vaxel").write_text(command)
            (root / "vaxel").chmod(0o755)
            told = subprocess.run([root / "vaxel", "list", "tenants"], cwd="/", timeout=30,
                                  capture_output=True, text=True)
            assert told.returncode == 0, told.stderr
            line = unit(root, "vaxel-backup.service")["Service"]["ExecStart"]
            for old, new in (("/var/lib/vaxel", str(state)), ("$$", "$"), ("%%", "%"),
                             ("/var/backups", str(root / "var/backups"))):
                line = line.replace(old, new)
            done = subprocess.run(shlex.split(line), cwd=ROOT, timeout=60, capture_output=True,
                                  text=True, env={"PATH": os.environ["PATH"]})
            assert done.returncode == 0, done.stderr
            made = list((root / "var/backups/vaxel").iterdir())
            assert len(made) == 1 and made[0].name.endswith(".tar.zst")
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        except BaseException as error:
            process.terminate()
            process.wait(30)
            raise AssertionError((root / "journal").read_text()) from error
        finally:
            mapping.remove_live(state)
    assert (root / "etc/vaxel/vaxel.toml").read_text().startswith("sip_port")
    assert settings.in_force(state).sip_port == first

"""The files and the command line of the edge (Kamailio)."""

import contextlib
import json
import secrets
import shutil
import sqlite3
import subprocess
from pathlib import Path

from vaxel.settings import CONFIGS, ROOT, Settings, python_path

SCHEMA = Path("/usr/share/kamailio/db_sqlite")
#: Connections for each megabyte of Kamailio's shared memory: one by TCP takes 66 KiB of it (a
#: message of 65 535 bytes has to fit, RFC 3261 section 18.1.1), one by TLS about as much again.
TCP_PER_MB, TLS_PER_MB = 8, 3
#: Kamailio's log levels.
DEBUG = {"debug": 3, "info": 1, "warning": 0, "error": -1}


def prepare(state: Path, settings: Settings, mark: str = "") -> None:
    """Write everything that Kamailio reads. server_id is new at every start: rtpengine keys its
    reply cache by a cookie that begins with it. mark: by which the log's own lines are known."""
    folder = state / "edge"
    folder.mkdir(exist_ok=True, mode=0o700)
    _location(folder / "location.db")
    _certificate(folder, settings.domain)
    (folder / "dispatcher.list").touch()
    at = settings.address
    words = {
        "CHILDREN": settings.workers, "TCP_CHILDREN": settings.tcp_workers,
        "SERVER_ID": secrets.randbelow(1 << 30) + 1,
        "LISTEN": "\n".join([
            f"listen=udp:{at}:{settings.sip_port}", f"listen=tcp:{at}:{settings.sip_port}",
            f"listen=tls:{at}:{settings.tls_port}",
        ]),
        "TLS": "yes", "RPC": f"udp:127.0.0.1:{settings.rpc_port}",
        "LOCATION": folder / "location.db", "DOMAIN": settings.domain,
        "FLOOD": settings.flood_per_2s, "FROM_KEY": settings.from_key[:24],
        "CONTACT": f"{at}:{settings.sip_port}", "TRUNKS": folder / "dispatcher.list",
        "PING_S": settings.ping_s,
        "MEDIA": " ".join(f"udp:127.0.0.1:{port}" for port in settings.media_ports()),
        "CAPTURE": _capture(settings), "DEBUG": DEBUG[settings.log_level],
        "TLS_CONFIG": folder / "tls.cfg", "SCRIPT": ROOT / "kemi" / "script.py",
        "TCP_CONNECTIONS": settings.shared_memory_mb * TCP_PER_MB,
        "TLS_CONNECTIONS": settings.shared_memory_mb * TLS_PER_MB,
    }
    text = (CONFIGS / "kamailio.cfg").read_text()
    for word, value in words.items():
        text = text.replace(f"@{word}@", str(value))
    _private(folder / "kamailio.cfg", text)
    _private(folder / "edge.json", json.dumps({
        "python_path": python_path(), "state": str(state), "domain": settings.domain,
        "key": settings.digest_key, "control_ports": settings.control_ports(),
        "mark": mark, "faults": settings.faults, "own_ports": settings.own_ports(),
        "proxies": _list(settings.proxies), "md5_agents": _list(settings.md5_agents),
        "connections_per_address": settings.connections_per_address,
        "connections_per_tenant": settings.shared_memory_mb * TCP_PER_MB // 2,
    }))


def command(state: Path, settings: Settings) -> tuple[list[str], dict[str, str]]:
    """(arguments, environment) that start it in the foreground."""
    folder = state / "edge"
    program = shutil.which("kamailio") or "/usr/sbin/kamailio"
    # The package's default allocator walks a free list and triples the CPU time of a call.
    return ([program, "-f", str(folder / "kamailio.cfg"), "-DD", "-E", "-x", "tlsf", "-X", "tlsf",
             "-m", str(settings.shared_memory_mb), "-M", "16", "-Y", str(folder),
             "-P", str(folder / "pid")],
            {"VAXEL_EDGE": str(folder / "edge.json"), "PYTHONDONTWRITEBYTECODE": "1"})


def _capture(settings: Settings) -> str:
    """A copy of every SIP message to the collector, as HEP3; nothing is loaded without one."""
    if not settings.hep_capture:
        return "# no capture"
    values = {"duplicate_uri": f'"sip:{settings.hep_capture}"', "hep_mode_on": 1,
              "hep_version": 3, "hep_capture_id": settings.hep_id, "trace_to_database": 0,
              "trace_on": 1, "trace_mode": 1}
    return "\n".join(['loadmodule "siptrace.so"',
                      *(f'modparam("siptrace", "{name}", {value})'
                        for name, value in values.items())])


def _list(text: str) -> list[str]:
    return [one for part in text.split(",") if (one := part.strip())]


def _private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _location(path: Path) -> None:
    if path.exists():
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            # Registered when the address that is really called was not kept with it.
            database.execute("DELETE FROM location WHERE path IS NULL "
                             "AND (received IS NULL OR received NOT LIKE 'sip:%@%')")
        return
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    database = sqlite3.connect(beside)
    for name in ("standard-create.sql", "usrloc-create.sql", "uac-create.sql"):
        database.executescript((SCHEMA / name).read_text())
    database.execute("PRAGMA journal_mode = WAL")
    database.close()
    beside.chmod(0o600)
    beside.rename(path)


def _certificate(folder: Path, domain: str) -> None:
    if not (folder / "key.pem").exists():
        subprocess.run(
            [shutil.which("openssl") or "/usr/bin/openssl", "req", "-x509", "-newkey", "ec",
             "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "825", "-subj", f"/CN={domain}", "-addext",
             f"subjectAltName=DNS:{domain}", "-keyout", str(folder / "key.pem"),
             "-out", str(folder / "certificate.pem")], check=True, capture_output=True)
    (folder / "key.pem").chmod(0o600)
    trusted = folder / "trusted.pem"
    ca = f"ca_list = {trusted}\n" if trusted.exists() else ""
    (folder / "tls.cfg").write_text(
        f"[server:default]\nmethod = TLSv1.2+\nverify_certificate = {'yes' if ca else 'no'}\n"
        f"require_certificate = no\nprivate_key = {folder / 'key.pem'}\n"
        f"certificate = {folder / 'certificate.pem'}\n{ca}"
        f"[client:default]\nmethod = TLSv1.2+\nverify_certificate = {'yes' if ca else 'no'}\n"
        f"require_certificate = {'yes' if ca else 'no'}\n{ca}")

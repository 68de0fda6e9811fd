"""The settings' files in the state directory.

    vaxel.toml       what a person chooses; on an installed machine a link to /etc/vaxel/vaxel.toml
    settings.json    what is in force, written by `vaxel run` at its start: the choices, and the
                     secrets that the exchange made for itself. The processes read only this one.

There is no other way to set anything: no environment, no arguments.
"""

import difflib
import ipaddress
import os
import secrets
import sysconfig
import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

from vaxel.options import Settings as Settings
from vaxel.options import all_settings, toml_text
from vaxel.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "configs"
FILE: Final = "vaxel.toml"
#: On the address, UDP or TCP; several of one kind follow the first.
PORTS: Final = ("sip_port", "tls_port", "api_port", "rpc_port", "media_port", "control_port",
                "keys_port", "metrics_port")


class SettingsError(Exception):
    """The settings cannot be used; the text says which and what to do."""


# -- what a person chooses -------------------------------------------------------------------

def chosen(path: Path) -> Settings:
    """What the file says, defaults for the rest; SettingsError names every fault."""
    try:
        text = path.read_text()
    except FileNotFoundError as error:
        raise SettingsError(f"there is no {path}; `vaxel config init` writes one") from error
    except PermissionError as error:
        raise SettingsError(f"{path} may not be read; use sudo") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not UTF-8 text ({error})") from error
    values, faults = _read(text)
    faults += [] if faults else _together(Settings(**values))
    if faults:
        raise SettingsError("\n".join(f"{path}{fault}" for fault in faults))
    return Settings(**values)


def _read(text: str) -> tuple[dict[str, Any], list[str]]:
    """The values, and what is wrong with each."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return {}, [f": not TOML: {error}; a line is: name = value, text in quotes"]
    known = {setting.name: setting for setting in all_settings()}
    values: dict[str, Any] = {}
    faults = []
    for name, value in found.items():
        where = f"{_line(text, name)}: {name}: "
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            faults.append(where + "there is no such setting; "
                          + (f"did you mean {near[0]}?" if near else
                             "`vaxel config init --print` shows all of them"))
        elif known[name].made:
            faults.append(where + "the exchange makes it itself and keeps it in settings.json; "
                                  "take the line out")
        else:
            try:
                values[name] = msgspec.convert(value, known[name].type)
            except msgspec.ValidationError as error:
                faults.append(f"{where}{_plain(str(error))}; it is {value!r}")
    return values, faults


def _plain(error: str) -> str:
    for technical, plain in (("`int`", "a whole number"), ("`str`", "text in quotes"),
                             ("`bool`", "true or false"), ("matching regex", "of the form")):
        error = error.replace(technical, plain)
    return error


def _line(text: str, name: str) -> str:
    for number, line in enumerate(text.splitlines(), 1):
        line = line.lstrip().lstrip("[").lstrip()
        quote = line[:1] if line[:1] in ("'", '"') else ""
        if line.startswith(quote + name):
            rest = line[len(quote + name):].removeprefix(quote).lstrip()
            if rest[:1] in ("=", ".", "]"):
                return f", line {number}"
    return ""


def _address(settings: Settings) -> list[str]:
    """What is wrong with the addresses, before anything listens there."""
    faults = []
    try:
        at = ipaddress.ip_address(settings.address)
    except ValueError:
        at = None
    if not isinstance(at, ipaddress.IPv4Address):
        faults.append(f": address: {settings.address!r} is "
                      + ("not an IPv4 address" if at is None else "an IPv6 address")
                      + "; give an IPv4 address of this machine, such as 192.0.2.10")
    elif at.is_unspecified or at.is_multicast or at == ipaddress.IPv4Address("255.255.255.255"):
        faults.append(f": address: {at} is not the address of a machine, and telephones are told "
                      "it; give the one at which they reach this machine")
    for one in filter(None, (part.strip() for part in settings.proxies.split(","))):
        try:
            ipaddress.ip_address(one)
        except ValueError:
            faults.append(f": proxies: {one!r} is not an address")
    return faults


def _together(settings: Settings) -> list[str]:
    """What is wrong with values that are right each for itself."""
    faults = _address(settings)
    if settings.rtp_last - settings.rtp_first + 1 < 10 * settings.media_nodes:
        faults.append(": rtp_first, rtp_last: a media node needs ten ports; widen the range")
    taken: dict[int, str] = {}
    several = {"media_port": 2 * settings.media_nodes, "control_port": settings.control_processes,
               "keys_port": settings.control_processes + 1}
    for name in PORTS:
        first = getattr(settings, name)
        for port in range(first, first + several.get(name, 1)) if first else ():
            if port in taken:
                faults.append(f": {name}: port {port} is {taken[port]}'s already; choose another")
                break
            if settings.rtp_first <= port <= settings.rtp_last:
                faults.append(f": {name}: port {port} lies among the ports of media, "
                              "rtp_first to rtp_last; choose another")
                break
            taken[port] = name
    if settings.hep_capture and not 0 < int(settings.hep_capture.rpartition(":")[2]) < 65536:
        faults.append(": hep_capture: the port is a number from 1 to 65535")
    return faults


# -- what is in force ------------------------------------------------------------------------

def load(state: Path) -> Settings:
    """What the next start will put in force; makes the files when they are not there."""
    try:
        return _load(state)
    except OSError as error:
        raise SettingsError(f"the settings in {state} cannot be read or written: {error}"
                            ) from error


def _load(state: Path) -> Settings:
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    old = in_force(state) if (state / "settings.json").exists() else None
    path = state / FILE
    if not path.exists():
        write_private(path, toml_text(old or Settings()).encode())
    found = chosen(path)
    found.digest_key = old.digest_key if old and old.digest_key else secrets.token_hex(32)
    found.from_key = old.from_key if old and old.from_key else secrets.token_hex(16)
    found.api_key = old.api_key if old and old.api_key else "vx_" + secrets.token_urlsafe(32)
    if old is None:
        put_in_force(state, found)
    return found


def save(state: Path, settings: Settings) -> None:
    """Write both files anew."""
    write_private(state / FILE, toml_text(settings).encode())
    put_in_force(state, settings)


def in_force(state: Path) -> Settings:
    """The settings with which the exchange runs, or ran last; SettingsError."""
    path = state / "settings.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Settings)
    except FileNotFoundError as error:
        raise SettingsError(f"no exchange has been started in {state}: `vaxel run` starts one, "
                            "--state names another directory, --url another machine") from error
    except PermissionError as error:
        raise SettingsError(f"{path} may not be read; use sudo, or --url with --key-file"
                            ) from error
    except msgspec.DecodeError as error:
        raise SettingsError(f"{path}: {error}; take away what is wrong, the rest is written anew "
                            f"from {FILE} at the next start") from error


def put_in_force(state: Path, settings: Settings) -> None:
    """Write what the processes read."""
    write_private(state / "settings.json",
                  msgspec.json.format(msgspec.json.encode(settings), indent=2) + b"\n")


def write_private(path: Path, content: bytes) -> None:
    """Replace a file whole or not at all, readable by its owner only."""
    path = path.resolve()  # the link to /etc stays one
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)


def python_path() -> list[str]:
    """What Kamailio's embedded interpreter needs to find our packages and theirs."""
    return [str(ROOT), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]


def private_settings(state: Path) -> Settings:
    """Settings with free ports, saved in the directory."""
    settings = load(state)
    settings.sip_port = free_port()
    settings.tls_port = free_port()
    settings.api_port = free_port()
    settings.rpc_port = free_port()
    settings.media_port = free_port(spread=8)
    settings.control_port = free_port(spread=settings.control_processes + 1)
    settings.keys_port = free_port(spread=settings.control_processes + 2)
    settings.rtp_first = free_port(spread=200)
    settings.rtp_last = settings.rtp_first + 199
    save(state, settings)
    return settings

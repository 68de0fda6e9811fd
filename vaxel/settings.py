"""What an installation is made of: directories, addresses, ports. One file, one meaning.

The file is JSON at <state>/settings.json, made with the defaults and new secrets when it is not
there; docs/settings.md lists every field.
"""

import os
import secrets
import sys
import sysconfig
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "configs"


class Settings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Of one machine. Ports are on `address`; management ports are on loopback only."""

    address: str = "127.0.0.1"
    domain: str = "vaxel.local"
    sip_port: int = 5060
    tls_port: int = 5061
    api_port: int = 8080
    rpc_port: int = 5064
    media_port: int = 5066
    media_nodes: int = 1
    rtp_first: int = 30000
    rtp_last: int = 39999
    control_port: int = 5070
    control_processes: int = 2
    keys_port: int = 5090
    workers: int = msgspec.field(default_factory=lambda: os.cpu_count() or 2)
    tcp_workers: int = 2
    shared_memory_mb: int = 256
    flood_per_2s: int = 400
    ping_s: int = 10
    digest_key: str = ""
    from_key: str = ""
    api_key: str = ""
    faults: bool = False
    smtp_host: str = ""
    smtp_port: int = 25
    mail_from: str = ""
    webhooks_to_private: bool = False

    def control_ports(self) -> list[int]:
        """The SIP port of every call control process."""
        return [self.control_port + index for index in range(self.control_processes)]

    def key_ports(self) -> list[int]:
        """Where each of them hears of keys that are pressed."""
        return [self.keys_port + 1 + index for index in range(self.control_processes)]

    def media_ports(self) -> list[int]:
        """The ng port of every rtpengine here."""
        return [self.media_port + node for node in range(self.media_nodes)]


def load(state: Path) -> Settings:
    """The settings in the directory; makes both when they are not there."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = state / "settings.json"
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Settings)
    settings = Settings(digest_key=secrets.token_hex(32), from_key=secrets.token_hex(16),
                        api_key="vx_" + secrets.token_urlsafe(32))
    save(state, settings)
    return settings


def save(state: Path, settings: Settings) -> None:
    """Write the file, readable by its owner only."""
    path = state / "settings.json"
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(settings), indent=2) + b"\n")


def python_path() -> list[str]:
    """What Kamailio's embedded interpreter needs to find our packages and theirs."""
    return [str(ROOT), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]


PYTHON = sys.executable

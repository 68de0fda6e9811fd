"""The programs that an installation needs, and the Debian package of each."""

import shutil
from pathlib import Path

PROGRAMS = {
    "kamailio": "kamailio", "rtpengine": "rtpengine-daemon", "openssl": "openssl",
}
MODULES = {
    "app_python3.so": "kamailio-python3-modules", "tls.so": "kamailio-tls-modules",
    "websocket.so": "kamailio-websocket-modules", "db_sqlite.so": "kamailio-sqlite-modules",
    "sdpops.so": "kamailio",
}


def missing() -> list[str]:
    """The Debian packages that are not installed."""
    found = [package for program, package in PROGRAMS.items()
             if not (shutil.which(program) or Path("/usr/sbin", program).exists())]
    folders = list(Path("/usr/lib").glob("*/kamailio/modules"))
    found += [package for module, package in MODULES.items()
              if not any((folder / module).exists() for folder in folders)]
    return sorted(set(found))

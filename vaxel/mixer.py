"""The configuration and the command line of the mixer (Janus), which conferences are mixed in.

Only the AudioBridge and the unix socket are loaded, from a directory of links, so that nothing
Debian adds is ever started; it opens no port but those of parties, on loopback.
"""

import os
import shutil
import socket
import sysconfig
from pathlib import Path
from typing import Final

from vaxel.settings import CONFIGS, Settings

#: Two for each party (Janus takes the even ones), behind those of rtpengine; ones in use are
#: stepped over.
PORTS: Final = 4000
#: Loaded from Debian's directory of the same name.
LOADED: Final = {"plugins": "libjanus_audiobridge.so", "transports": "libjanus_pfunix.so"}


def folder(state: Path) -> Path:
    """What is the mixer's; only its owner may enter, for whoever reaches the socket may all."""
    return state / "mixer"


def control(state: Path) -> Path:
    """The socket, for rtp.mixer.Mixer."""
    return folder(state) / "api"


def library() -> Path:
    """Where Debian keeps Janus's modules."""
    return Path("/usr/lib") / str(sysconfig.get_config_var("MULTIARCH")) / "janus"


def ports(settings: Settings) -> tuple[int, int]:
    """The first and the last port of parties."""
    first = min(settings.rtp_last + 1, 65535 - PORTS)
    return first, first + PORTS - 1


def prepare(state: Path, settings: Settings) -> None:
    """Write the configuration and make the links."""
    own = folder(state)
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    own.chmod(0o700)
    (own / "none").mkdir(exist_ok=True)
    for kind, name in LOADED.items():
        (own / kind).mkdir(exist_ok=True)
        link = own / kind / name
        link.unlink(missing_ok=True)
        link.symlink_to(library() / kind / name)
    first, last = ports(settings)
    for template in sorted((CONFIGS / "janus").glob("*.jcfg")):
        text = template.read_text().replace("@FIRST@", str(first)).replace("@LAST@", str(last))
        (own / template.name).write_text(text)


def command(state: Path) -> list[str]:
    """Arguments that start it in the foreground, in its directory: all its paths are relative."""
    program = shutil.which("janus") or "/usr/bin/janus"
    # Root's Janus would open a raw socket, and take SCTP from the whole network.
    without_rights = ["/usr/bin/setpriv", "--bounding-set=-all", "--inh-caps=-all",
                      "--no-new-privs"] if os.geteuid() == 0 else []
    return [*without_rights, "/usr/bin/env", f"--chdir={folder(state)}", program,
            "--config=janus.jcfg", "--configs-folder=."]


def answers(state: Path, wait_s: float = 0.5) -> bool:
    """Whether it takes requests. One start in twenty ends at once (its socket's thread starts
    before it may), and could also stay alive and deaf: then it has to be killed."""
    folder_fd = -1
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        probe.settimeout(wait_s)
        try:
            folder_fd = os.open(folder(state), os.O_PATH | os.O_CLOEXEC)
            probe.connect(f"/proc/self/fd/{folder_fd}/{control(state).name}")
            probe.send(b'{"janus":"ping","transaction":"up"}')
            return b"pong" in probe.recv(1000)
        except OSError:
            return False
        finally:
            if folder_fd >= 0:
                os.close(folder_fd)

"""A real installation: systemd units, a user of its own, the settings in /etc, a command in PATH.

Doing it again changes only what differs. The settings file is written once and is then the
operator's; data is never touched.
"""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

from vaxel.options import Settings, toml_text
from vaxel.settings import CONFIGS, ROOT

USER: Final = "vaxel"
CONFIG, STATE = Path("etc/vaxel/vaxel.toml"), Path("var/lib/vaxel")
BACKUPS: Final = Path("var/backups/vaxel")
UNITS: Final = Path("etc/systemd/system")
SYSUSERS: Final = Path("usr/lib/sysusers.d/vaxel.conf")
COMMAND: Final = Path("usr/local/bin/vaxel")
COMPLETIONS: Final = {
    "bash": Path("usr/share/bash-completion/completions/vaxel"),
    "zsh": Path("usr/share/zsh/vendor-completions/_vaxel"),
    "fish": Path("usr/share/fish/vendor_completions.d/vaxel.fish"),
}
#: What the new machine needs before the service can start.
NEXT: Final = """next:
  edit /etc/vaxel/vaxel.toml (address, domain), then `vaxel config check`
  systemctl enable --now vaxel
  systemctl enable --now vaxel-backup.timer    # a backup every night, kept for a week"""


class InstallError(Exception):
    """It cannot be installed; the text says what to do."""


class Piece(NamedTuple):
    """A file to be written."""

    path: Path
    text: str
    mode: int = 0o644


def pieces() -> list[Piece]:
    """Everything that is written anew each time."""
    words = {"@ROOT@": str(ROOT), "@PYTHON@": sys.executable}
    found = []
    for template in sorted((CONFIGS / "systemd").iterdir()):
        text = template.read_text()
        for word, value in words.items():
            text = text.replace(word, value)
        found.append(Piece(SYSUSERS if template.suffix == ".sysusers" else UNITS / template.name,
                           text))
    found.append(Piece(COMMAND, "#!/bin/sh\n"
                       "# Written by `vaxel install`.\n"
                       f"PYTHONPATH='{ROOT}' exec '{sys.executable}' -m vaxel "
                       f"--state /{STATE} \"$@\"\n", 0o755))
    return found + [Piece(path, completion(shell)) for shell, path in COMPLETIONS.items()]


def completion(shell: str) -> str:
    """What makes a shell complete our commands."""
    from argcomplete.shell_integration import shellcode

    return shellcode(["vaxel"], shell=shell).rstrip() + "\n"


def install(root: Path, dry_run: bool) -> list[str]:
    """What was done, or would be, a line each; InstallError."""
    here = root == Path("/")
    faults = _faults(here and not dry_run)
    if faults:
        raise InstallError("; ".join(faults))
    done = []
    for piece in pieces():
        done.append(_write(root, piece, dry_run))
    if here and not dry_run:
        subprocess.run(["/usr/bin/systemd-sysusers", str(root / SYSUSERS)], check=True)
    done += [_folder(root / path, path, mode, dry_run)
             for path, mode in ((CONFIG.parent, 0o755), (STATE, 0o700), (BACKUPS, 0o700))]
    if (root / CONFIG).exists():
        done.append(f"kept       /{CONFIG}")
    else:
        done.append(_write(root, Piece(CONFIG, toml_text(Settings()), 0o640), dry_run))
    link = root / STATE / "vaxel.toml"
    target = Path("../../..") / CONFIG  # the same in an image and on the machine it becomes
    if link.is_symlink() or link.exists():
        done.append(f"kept       /{STATE}/vaxel.toml")
    else:
        done.append(f"linked     /{STATE}/vaxel.toml")
        if not dry_run:
            link.symlink_to(target)
    if here and not dry_run:
        for path in (STATE, BACKUPS):
            shutil.chown(root / path, USER, USER)
        shutil.chown(root / CONFIG, "root", USER)
        _reload()
    return done


def uninstall(root: Path, dry_run: bool) -> list[str]:
    """Stop it and take away what install() wrote; settings, data and the user stay."""
    here = root == Path("/")
    if here and not dry_run:
        if os.geteuid() != 0:
            raise InstallError("only root may do that; use sudo")
        if Path("/run/systemd/system").is_dir():
            subprocess.run(["/usr/bin/systemctl", "disable", "--now", "vaxel.service",
                            "vaxel-backup.timer"], check=False)
    done = []
    for piece in pieces():
        if (root / piece.path).exists():
            done.append(f"removed    /{piece.path}")
            if not dry_run:
                (root / piece.path).unlink()
    if here and not dry_run:
        _reload()
    return [*done, *(f"kept       /{path}" for path in (CONFIG, STATE, BACKUPS)
                     if (root / path).exists())]


def _write(root: Path, piece: Piece, dry_run: bool) -> str:
    path = root / piece.path
    old = path.read_text() if path.is_file() else None
    if old == piece.text and stat.S_IMODE(path.stat().st_mode) == piece.mode:
        return f"unchanged  /{piece.path}"
    if not dry_run:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(path.name + ".new")
        beside.write_text(piece.text)
        beside.chmod(piece.mode)
        beside.rename(path)
    return f"{'written' if old is None else 'replaced':10} /{piece.path}"


def _folder(path: Path, name: Path, mode: int, dry_run: bool) -> str:
    if path.is_dir():
        return f"unchanged  /{name}/"
    if not dry_run:
        path.mkdir(parents=True)
        path.chmod(mode)
    return f"made       /{name}/"


def _reload() -> None:
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["/usr/bin/systemctl", "daemon-reload"], check=True)


def _faults(in_earnest: bool) -> list[str]:
    """Why the service could not run here."""
    faults = []
    if in_earnest and os.geteuid() != 0:
        faults.append("only root may do that; use sudo, or --dry-run to see what would be done")
    if any(c in f"{ROOT}{sys.executable}" for c in " '\"%$\\"):
        faults.append(f"{ROOT} has characters in its name that units cannot hold; move it")
    closed = [folder for folder in (ROOT, *ROOT.parents)
              if not folder.stat().st_mode & stat.S_IXOTH]
    if in_earnest and closed:
        faults.append(f"the user {USER} could not enter {closed[-1]}: move the program to "
                      "/opt/vaxel (and run `make install` there), or open the directory to all")
    return faults

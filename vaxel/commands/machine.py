"""config, install, uninstall, completion: this machine's own."""

import argparse
import os
from pathlib import Path

import msgspec

from vaxel import settings as settings_file
from vaxel.commands import tables
from vaxel.commands.common import GOOD, REFUSED, CommandError, Commands, add, with_json
from vaxel.options import Settings, all_settings, page, toml_text


def declare(commands: Commands) -> None:
    """The commands."""
    found = add(commands, "config", _config, "write, check or show the settings", """
        vaxel config init                 write vaxel.toml with every setting and its meaning
        vaxel config init --print         show what it would be
        vaxel config check                say what is wrong with it
        vaxel config show                 what is in force; secrets are not shown""")
    found.add_argument("action", choices=["init", "check", "show", "page"],
                       help="page: docs/settings.md")
    found.add_argument("--print", action="store_true", help="init: to the terminal only")
    found.add_argument("--file", type=Path, help="(default: vaxel.toml in the state directory)")
    with_json(found)

    for name, handler, summary in (
            ("install", _install, "write systemd units, user, settings and command"),
            ("uninstall", _uninstall, "take them away; settings and data stay")):
        found = add(commands, name, handler, summary, f"""
            sudo vaxel {name} --dry-run
            sudo vaxel {name}
            vaxel {name} --root /tmp/image""")
        found.add_argument("--root", type=Path, default=Path("/"), metavar="DIR",
                           help="of the machine's files, as for an image (default: /)")
        found.add_argument("--dry-run", action="store_true", help="say it only")

    found = add(commands, "completion", _completion, "print what makes a shell complete vaxel", """
        source <(vaxel completion bash)
        vaxel completion zsh > ~/.zfunc/_vaxel
        vaxel completion fish > ~/.config/fish/completions/vaxel.fish""")
    found.add_argument("shell", choices=["bash", "zsh", "fish"])


def _config(arguments: argparse.Namespace) -> int:
    state = arguments.state.resolve()
    path = arguments.file or state / settings_file.FILE
    if arguments.action == "page":
        print(page(), end="")
    elif arguments.action == "init":
        _init(path, arguments.print)
    elif arguments.action == "check":
        return _check(state, path)
    else:
        found = settings_file.in_force(state)
        secret = {setting.name for setting in all_settings() if setting.secret}
        shown = {name: "(hidden)" if name in secret and value else value
                 for name, value in msgspec.to_builtins(found).items()}
        tables.as_json(shown) if arguments.json else tables.one(shown)
    return GOOD


def _init(path: Path, only_print: bool) -> None:
    if only_print:
        print(toml_text(Settings()), end="")
        return
    if path.exists():
        raise CommandError(f"{path} is there already; `vaxel config init --print` shows what a "
                           "new one would be")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings_file.write_private(path, toml_text(Settings()).encode())
    print(path)


def _check(state: Path, path: Path) -> int:
    chosen = settings_file.chosen(path)
    print(f"{path} is good")
    if path == state / settings_file.FILE and (state / "settings.json").exists() \
            and os.access(state / "settings.json", os.R_OK):
        running = settings_file.in_force(state)
        waiting = [setting.name for setting in all_settings() if not setting.made
                   and getattr(chosen, setting.name) != getattr(running, setting.name)]
        if waiting:
            print(f"in force from the next start: {', '.join(waiting)}")
    return GOOD


def _install(arguments: argparse.Namespace) -> int:
    from vaxel import install

    try:
        done = install.install(arguments.root.resolve(), arguments.dry_run)
    except (install.InstallError, OSError) as error:
        raise CommandError(str(error), REFUSED) from error
    print("\n".join([*done, "", install.NEXT]))
    return GOOD


def _uninstall(arguments: argparse.Namespace) -> int:
    from vaxel import install

    try:
        done = install.uninstall(arguments.root.resolve(), arguments.dry_run)
    except (install.InstallError, OSError) as error:
        raise CommandError(str(error), REFUSED) from error
    print("\n".join(done))
    return GOOD


def _completion(arguments: argparse.Namespace) -> int:
    from vaxel import install

    print(install.completion(arguments.shell), end="")
    return GOOD

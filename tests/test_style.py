"""How the code is written, checked by tools; every failure names the command or the edit that ends
it."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = Path(".venv/bin/python")
PACKAGES = ("routing_core", "kemi", "rtp", "store", "callcontrol", "api", "vaxel", "benchmarks",
            "tests")
TYPED = ("routing_core", "kemi", "rtp", "store", "api", "vaxel", "benchmarks")
AWAKE = ("kemi", "rtp", "store", "api", "routing_core", "vaxel")
MAX_LINES = {".py": 800, ".ts": 800, ".pyx": 900}
SOURCES = (".py", ".pyi", ".pyx", ".pxd", ".pxi", ".ts", ".tsx", ".js", ".mjs", ".css", ".html",
           ".cfg", ".conf", ".toml", ".yaml", ".yml", ".sh", ".sql")
# Put together, so that this file does not contain what it looks for.
UNFINISHED = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3)) + r")\b")
SLEEP = re.compile(r"\btime\s*\.\s*sleep\s*\(|\bfrom\s+time\s+import\s[^\n]*\bsleep\b")


@cache
def sources() -> tuple[Path, ...]:
    """Every source that git tracks or would track, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = {Path(name) for name in listed.split("\0") if name}
    found = tuple(sorted(path for path in paths
                         if path.suffix in SOURCES and (ROOT / path).is_file()))
    assert found, "git lists no sources: run the tests in a git checkout"
    return found


def lines_with(pattern: re.Pattern[str], packages: tuple[str, ...] | None = None,
               suffixes: tuple[str, ...] = SOURCES) -> list[str]:
    """path:line of every match in the sources of those packages."""
    found = []
    for path in sources():
        if path.suffix not in suffixes or (packages and path.parts[0] not in packages):
            continue
        text = (ROOT / path).read_text(encoding="utf-8")
        found += [f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
                  for match in pattern.finditer(text)]
    return found


def run_module(module: str, *arguments: str) -> tuple[int, str]:
    """Exit status and output of python -m module, at the root."""
    # cython-lint starts pycodestyle by its bare name: it lies beside this interpreter.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, check=False,
                          capture_output=True, text=True, env={**os.environ, "PATH": path})
    return done.returncode, done.stdout + done.stderr


def test_ruff() -> None:
    """Names, imports, line length, and what the rules in pyproject.toml forbid."""
    status, output = run_module("ruff", "check", "--output-format=concise", ".")
    assert status == 0, f"Run: {PYTHON} -m ruff check --fix .  and mend the rest by hand.\n{output}"


def test_mypy() -> None:
    """Type annotations are complete and right."""
    typed = [name for name in TYPED if any((ROOT / name).rglob("*.py"))]
    status, output = run_module("mypy", "--strict", *typed)
    assert status == 0, (
        f"Mend the annotations until this passes: {PYTHON} -m mypy --strict {' '.join(typed)}\n"
        "What a compiled module offers is declared in the .pyi beside its .pyx.\n" + output)


def test_cython_lint() -> None:
    """Unused names and layout of the Cython sources."""
    files = [str(path) for path in sources() if path.suffix in (".pyx", ".pxd", ".pxi")]
    status, output = run_module("cython_lint.cython_lint", *files)
    assert status == 0, (
        "Mend these until it passes: PATH=.venv/bin:$PATH cython-lint routing_core\n" + output)


def test_no_file_is_too_long() -> None:
    """A file that does not fit in a head is two files."""
    too_long = []
    for path in sources():
        limit = MAX_LINES.get(path.suffix)
        if limit and path.parts[0] in PACKAGES:
            count = len((ROOT / path).read_text(encoding="utf-8").splitlines())
            if count > limit:
                too_long.append(f"{path}: {count} lines, at most {limit}")
    assert not too_long, "Move a part of its own into a new module:\n" + "\n".join(too_long)


def test_nothing_sleeps() -> None:
    """A worker that sleeps answers nobody."""
    found = lines_with(SLEEP, AWAKE, (".py", ".pyx"))
    assert not found, ("Wait for the event itself (a socket, a process, an asyncio.Event), or in a "
                       "coroutine await asyncio.sleep():\n" + "\n".join(found))


def test_nothing_is_left_unfinished() -> None:
    """What is not done is in the documents, not in a comment."""
    found = lines_with(UNFINISHED)
    assert not found, ("Do it now, or write the limitation into docs/ and delete the mark:\n"
                       + "\n".join(found))

"""The import table of the design, and what the packages and the compiled modules show outside.

Read from the sources, so that a package which is not imported by any test is held to it too.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from enum import IntEnum
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: Which packages of ours each package may import, besides itself.
MAY_IMPORT: dict[str, set[str]] = {
    "routing_core": set(),
    "kemi": {"routing_core"},
    "rtp": set(),
    "store": set(),
    "callcontrol": {"routing_core", "rtp", "store"},
    "api": {"routing_core", "rtp", "store"},
    "vaxel": {"routing_core", "rtp", "store", "api"},
    "benchmarks": {"routing_core", "rtp", "store", "callcontrol", "api", "vaxel", "tests"},
    "tests": {"routing_core", "kemi", "rtp", "store", "callcontrol", "api", "vaxel", "benchmarks"},
}
#: Processes of their own, which meet in files, sockets and the store only.
STRANGERS = ("api", "kemi", "callcontrol")
#: What would give the kernel a clock, randomness or I/O of its own.
IMPURE = {"os", "mmap", "pathlib", "time", "random", "socket", "posix"}
MAY_BE_IMPURE = Path("routing_core/mapping.py")
MAY_IMPORT_DATETIME = Path("routing_core/build.pyx")

_CYTHON_TEXT = re.compile(r'"""(?:.|\n)*?"""')
_CYTHON_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+c?import\b[ \t]*(\([^)]*\)|[^\n#]*)"
    r"|c?import[ \t]+([\w.][\w., \t]*))", re.MULTILINE)


class Import(NamedTuple):
    """One import: the file, its line, and the dotted name, with what is taken from the module."""

    path: Path
    line: int
    name: str

    @property
    def package(self) -> str:
        """The package of ours that imports."""
        return self.path.parts[0]

    @property
    def top(self) -> str:
        """The top level module that is imported."""
        return self.name.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.name}"


def python_imports(path: Path, text: str) -> Iterator[Import]:
    """Of a .py or .pyi file, also inside functions, under TYPE_CHECKING and by import_module()."""
    for node in ast.walk(ast.parse(text, str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            parent = path.parent.parts[:len(path.parent.parts) - node.level + 1]
            module = ".".join([*(parent if node.level else ()), *filter(None, [node.module])])
            for alias in node.names:
                yield Import(path, node.lineno, f"{module}.{alias.name}" if module else alias.name)
        elif isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            first = node.args[0]
            if called in ("import_module", "__import__") and isinstance(first, ast.Constant):
                yield Import(path, node.lineno, str(first.value))


def cython_imports(path: Path, text: str) -> Iterator[Import]:
    """Of a .pyx or .pxd file: import, cimport, from ... import, from ... cimport."""
    code = _CYTHON_TEXT.sub(lambda match: "\n" * match[0].count("\n"), text)
    for match in _CYTHON_IMPORT.finditer(code):
        line = code.count("\n", 0, match.start()) + 1
        module, names, modules = match.groups()
        if module:
            listed = re.sub(r"#[^\n]*", "", names).strip("()").split(",")
            found = [f"{module}.{name.split()[0]}" for name in listed if name.split()]
        else:
            found = [name.split()[0] for name in modules.split(",") if name.split()]
        for name in found:
            yield Import(path, line, name)


@cache
def imports() -> tuple[Import, ...]:
    """Every import in our packages."""
    found: list[Import] = []
    for package in MAY_IMPORT:
        for file in sorted((ROOT / package).rglob("*")):
            read = {".py": python_imports, ".pyi": python_imports, ".pyx": cython_imports,
                    ".pxd": cython_imports, ".pxi": cython_imports}.get(file.suffix)
            if read and file.is_file() and "node_modules" not in file.parts:
                found += read(file.relative_to(ROOT), file.read_text(encoding="utf-8"))
    return tuple(found)


def text_of(found: list[Import]) -> str:
    """One line each."""
    return "\n".join(map(str, found))


# -- who imports whom --------------------------------------------------------------------------

def test_the_reader_of_imports_sees_them_all() -> None:
    """The rules below are worth what this reader is worth."""
    python = 'import a.b\nfrom c import d, e\nfrom . import f\nfrom ..g import h\n' \
             'def late():\n    import i\nimport_module("j")\n'
    assert {found.name for found in python_imports(Path("kemi/sub/x.py"), python)} == {
        "a.b", "c.d", "c.e", "kemi.sub.f", "kemi.g.h", "i", "j"}
    cython = '"""\nimport no\n"""\ncimport a.b, c as d\n' \
             'from e cimport (\n    f, g,  # why\n    h,\n)\nfrom i.j import k\nimport l\n' \
             'cdef int x():\n    from m import n as o\ncdef extern from "p.h":\n    pass\n'
    assert [(found.line, found.name) for found in cython_imports(Path("routing_core/x.pyx"), cython)
            ] == [(4, "a.b"), (4, "c"), (5, "e.f"), (5, "e.g"), (5, "e.h"), (9, "i.j.k"), (10, "l"),
                  (12, "m.n")]
    assert {found.package for found in imports()} >= {"routing_core", "kemi", "rtp", "store"}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_import_table(package: str) -> None:
    """A package imports only the packages of ours that the table allows."""
    allowed = MAY_IMPORT[package] | {package}
    wrong = [found for found in imports() if found.package == package
             and found.top in MAY_IMPORT and found.top not in allowed]
    assert not wrong, (f"{package} may import of ours: {sorted(MAY_IMPORT[package]) or 'nothing'}. "
                       f"Move what is shared down, or pass it in where vaxel composes:\n"
                       + text_of(wrong))


def test_every_package_is_in_the_table() -> None:
    """A new package is given its place in the design first."""
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages <= set(MAY_IMPORT), (
        f"Add to MAY_IMPORT, and to the design: {sorted(packages - set(MAY_IMPORT))}")


def test_nothing_imports_tests() -> None:
    """What two tests share lies in tests; what the product needs does not."""
    wrong = [found for found in imports()
             if found.top == "tests" and found.package not in ("tests", "benchmarks")]
    assert not wrong, "Move the code out of tests:\n" + text_of(wrong)


def test_strangers_never_import_each_other() -> None:
    """Edge, API and call control live and die apart."""
    wrong = [found for found in imports() if found.package in STRANGERS
             and found.top in STRANGERS and found.top != found.package]
    assert not wrong, "Let them meet in the store, in live state or over HTTP:\n" + text_of(wrong)
    for package in STRANGERS:
        assert not MAY_IMPORT[package] & set(STRANGERS)


def test_only_kemi_imports_ksr() -> None:
    """KSR exists only inside Kamailio; whatever imports it runs nowhere else."""
    wrong = [found for found in imports() if found.top == "KSR" and found.package != "kemi"]
    assert not wrong, ("Move the code into kemi; a test puts its stand-in into sys.modules:\n"
                       + text_of(wrong))


def test_the_kernel_is_pure() -> None:
    """No clock, no randomness, no I/O: only mapping.py touches the system."""
    kernel = [found for found in imports() if found.package == "routing_core"]
    assert kernel
    wrong = [found for found in kernel if found.path != MAY_BE_IMPURE
             and IMPURE & set(found.name.split("."))]
    assert not wrong, ("Take time, seed and buffers as arguments; files belong in "
                       f"{MAY_BE_IMPURE}:\n" + text_of(wrong))
    wrong = [found for found in kernel if found.path != MAY_IMPORT_DATETIME
             and "datetime" in found.name.split(".")]
    assert not wrong, (f"Only {MAY_IMPORT_DATETIME} reads dates; the kernel counts seconds:\n"
                       + text_of(wrong))


# -- what packages export ----------------------------------------------------------------------

@pytest.mark.parametrize("package", ["routing_core", "store"])
def test_exported_members(package: str) -> None:
    """__all__ is exactly what can be imported from the package itself, submodules apart."""
    module = importlib.import_module(package)
    exported = {name for name, value in vars(module).items()
                if not name.startswith("_") and not isinstance(value, ModuleType)}
    listed = module.__all__
    assert len(listed) == len(set(listed)), f"{package}.__all__ names something twice"
    assert set(listed) == exported, (
        f"{package}/__init__.py: add to __all__ {sorted(exported - set(listed))}, "
        f"remove from it {sorted(set(listed) - exported)}")


# -- compiled modules and their stubs ----------------------------------------------------------

COMPILED = [path.relative_to(ROOT) for package in MAY_IMPORT
            for path in sorted((ROOT / package).rglob("*.pyx"))]
STUBS = [path.relative_to(ROOT) for package in MAY_IMPORT
         for path in sorted((ROOT / package).rglob("*.pyi"))]


def module_of(path: Path) -> ModuleType:
    """The module at runtime."""
    name = ".".join(path.with_suffix("").parts)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        pytest.fail(f"{name}: {error}. Run: .venv/bin/python setup.py -q build_ext --inplace")


def own_names(module: ModuleType) -> set[str]:
    """The public classes and functions that the module itself defines."""
    return {name for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__}


def declared(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """{public name: its declaration} in a stub or a class of it, without what only types have."""
    found: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if not any("type_check_only" in ast.unparse(one) for one in node.decorator_list):
                found[node.name] = node
        elif isinstance(node, ast.AnnAssign):
            found[ast.unparse(node.target)] = node
        elif isinstance(node, ast.Assign):
            found |= {ast.unparse(target): node for target in node.targets}
    return {name: node for name, node in found.items() if not name.startswith("_")}


def stub_of(path: Path) -> dict[str, ast.stmt]:
    """What a stub declares."""
    return declared(ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path)).body)


def parameters_differ(node: ast.stmt, value: object) -> str:
    """How a function's parameters differ from the stub's, "" when they do not."""
    if not isinstance(node, ast.FunctionDef) or node.decorator_list or not callable(value):
        return ""
    said = node.args
    stub = [one.arg for one in (*said.posonlyargs, *said.args, said.vararg, *said.kwonlyargs,
                                said.kwarg) if one]
    real = list(inspect.signature(value).parameters)
    return "" if stub == real else f"{node.name}: the stub says {stub}, the module {real}"


@pytest.mark.parametrize("path", COMPILED, ids=str)
def test_a_compiled_module_has_a_stub(path: Path) -> None:
    """mypy cannot look into a compiled module: everything Python sees of it is declared."""
    names = own_names(module_of(path))
    stub = path.with_suffix(".pyi")
    if not names:
        return
    assert stub in STUBS, f"Write {stub} with {sorted(names)}"
    missing = names - set(stub_of(stub))
    assert not missing, f"Declare in {stub}: {sorted(missing)}"


@pytest.mark.parametrize("path", STUBS, ids=str)
def test_a_stub_tells_the_truth(path: Path) -> None:
    """Every public name of a stub, and every member of its classes, exists at runtime."""
    module = module_of(path)
    wrong = []
    for name, node in stub_of(path).items():
        if not hasattr(module, name):
            wrong.append(f"{name} does not exist")
            continue
        value = getattr(module, name)
        wrong += filter(None, [parameters_differ(node, value)])
        if isinstance(node, ast.ClassDef):
            members = declared(node.body)
            wrong += [f"{name}.{member} does not exist" for member in members
                      if not hasattr(value, member)]
            wrong += filter(None, (parameters_differ(one, getattr(value, member))
                                   for member, one in members.items() if hasattr(value, member)))
            forgotten = {member for member in vars(value) if not member.startswith("_")}
            wrong += [f"{name}.{member} is not in the stub"
                      for member in sorted(forgotten - set(members))]
    assert not wrong, (f"Mend {path} (or rebuild: .venv/bin/python setup.py -q build_ext "
                       "--inplace):\n" + "\n".join(wrong))


def test_codes_stub_has_the_compiled_values() -> None:
    """Enums, members and values: the same in codes.pyi as in the compiled module."""
    codes = module_of(Path("routing_core/codes.pyi"))
    compiled = {name: {member.name: member.value for member in value}
                for name, value in vars(codes).items()
                if isinstance(value, type) and issubclass(value, IntEnum)
                and not name.startswith("_")}
    stub = {name: {member: ast.literal_eval(one.value)
                   for member, one in declared(node.body).items() if isinstance(one, ast.Assign)}
            for name, node in stub_of(Path("routing_core/codes.pyi")).items()
            if isinstance(node, ast.ClassDef)}
    assert stub == compiled, "Copy the change from routing_core/codes.pxd into codes.pyi"


def test_call_state_has_the_fields_of_a_call() -> None:
    """live.call() is a dict; the stub's CallState names its keys."""
    live = module_of(Path("routing_core/live.pyi"))
    buffer = bytearray(live.live_size(2, 1, 1, 2))
    live.format_live(buffer, 2, 1, 1, 2, 1)
    state = live.Live(buffer)
    slot = state.claim(1, 1000, 60, 1, 1)
    text = (ROOT / "routing_core" / "live.pyi").read_text(encoding="utf-8")
    stub = next(node for node in ast.parse(text).body
                if isinstance(node, ast.ClassDef) and node.name == "CallState")
    assert set(declared(stub.body)) == set(state.call(slot, 1)), "Mend CallState in live.pyi"

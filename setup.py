"""Compiles the kernel. VAXEL_DEBUG=1 builds it with bounds checks, assertions and no optimiser."""

import os
import shutil
import subprocess
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("VAXEL_DEBUG", "") not in ("", "0")

# The edge is plain Python that is compiled as it is: it runs for every SIP message. script.py is
# what Kamailio loads, and stays text.
sources = [
    *sorted(Path("routing_core").glob("*.pyx")), *sorted(Path("benchmarks").glob("*.pyx")),
    *(path for path in sorted(Path("kemi").glob("*.py"))
      if path.name not in ("__init__.py", "script.py")),
]
HOW = ["-O0", "-g"] if DEBUG else ["-O2", "-fno-strict-aliasing"]
extensions = [
    Extension(".".join(path.with_suffix("").parts), [str(path)], extra_compile_args=HOW)
    for path in sources
]


def pkg_config(what: str) -> list[str]:
    """Flags of the SIP stack's package; its absence is said in one line."""
    try:
        return subprocess.run(  # noqa: S603
            [shutil.which("pkg-config") or "/usr/bin/pkg-config", what, "sofia-sip-ua"],
            check=True, text=True, stdout=subprocess.PIPE).stdout.split()
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit("libsofia-sip-ua-dev and pkg-config are missing: run make install"
                         ) from error


extensions += [
    Extension(".".join(path.with_suffix("").parts), [str(path)],
              extra_compile_args=[*HOW, *pkg_config("--cflags")],
              extra_link_args=pkg_config("--libs"))
    for path in sorted(Path("callcontrol").glob("**/*.pyx"))
]

DIRECTIVES = {
    "language_level": 3, "cdivision": True, "embedsignature": True, "annotation_typing": False,
    "boundscheck": DEBUG, "wraparound": DEBUG, "initializedcheck": DEBUG,
}
#: What strangers wrote is read by the edge: an index that is wrong is an exception there, and no
#: walk through memory.
SAFE = {"boundscheck": True, "wraparound": True, "initializedcheck": True}


def is_edge(extension: Extension) -> bool:
    """Whether it is of kemi/."""
    return extension.name.startswith("kemi.")


setup(ext_modules=[
    *cythonize([one for one in extensions if not is_edge(one)], nthreads=os.cpu_count() or 1,
               compiler_directives=DIRECTIVES),
    *cythonize([one for one in extensions if is_edge(one)], nthreads=os.cpu_count() or 1,
               compiler_directives=DIRECTIVES | SAFE),
])

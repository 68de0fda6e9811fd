"""Compiles the kernel. VAXEL_DEBUG=1 builds it with bounds checks, assertions and no optimiser."""

import os
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
extensions = [
    Extension(
        ".".join(path.with_suffix("").parts),
        [str(path)],
        extra_compile_args=["-O0", "-g"] if DEBUG else ["-O2", "-fno-strict-aliasing"],
    )
    for path in sources
]

setup(
    ext_modules=cythonize(
        extensions,
        nthreads=os.cpu_count() or 1,
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": DEBUG,
            "cdivision": True,
            "initializedcheck": DEBUG,
            "embedsignature": True,
            "annotation_typing": False,
        },
    )
)

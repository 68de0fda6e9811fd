"""Compiles the kernel. VAXEL_DEBUG=1 builds it with bounds checks, assertions and no optimiser."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("VAXEL_DEBUG", "") not in ("", "0")

sources = [*sorted(Path("routing_core").glob("*.pyx")), *sorted(Path("benchmarks").glob("*.pyx"))]
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
        },
    )
)

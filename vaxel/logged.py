"""Runs a module of ours as a process that logs as vaxel/logs.py says.

python -m vaxel.logged PROCESS LEVEL MODULE ARGUMENTS...
"""

import logging
import runpy
import sys

import structlog

from vaxel import logs


class _Standard(logging.Handler):
    """What libraries log by the standard module."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def emit(self, record: logging.LogRecord) -> None:
        """Never fails: a log stops nobody."""
        try:
            level = "error" if record.levelno >= logging.ERROR else record.levelname.lower()
            entry = {"at": logs.stamp(), "process": self._process, "level": level,
                     "event": record.getMessage(), "logger": record.name}
            if record.exc_info:
                entry["exception"] = logging.Formatter().formatException(record.exc_info)
            logs.to_supervisor(logs.encode(entry))
        except (OSError, ValueError, TypeError):
            return


def main() -> None:
    """See the module."""
    process, level, module, *rest = sys.argv[1:]
    logs.configure(process, level, logs.to_supervisor)
    # Libraries say at "info" what they do all day.
    wanted = {"debug": logging.DEBUG, "error": logging.ERROR}.get(level, logging.WARNING)
    logging.basicConfig(level=wanted, handlers=[_Standard(process)])
    sys.argv = [module, *rest]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except Exception:
        structlog.get_logger().exception("process failed")
        sys.exit(1)


if __name__ == "__main__":
    main()

"""The process that answers one question: python -m api.whatif JOBFILE

Says how far it is in lines of JSON, and at last what went wrong, if anything did. Ends when its
standard input does: whoever started it is gone.
"""

import os
import resource
import sys
import threading
import traceback
from pathlib import Path
from typing import Final

import msgspec

from api.http.errors import Problem, as_problem
from api.whatif.job import answer
from api.whatif.shapes import Failure, JobFile, Progress, Said

#: Of address space: a base of the largest installation twice, and its copy.
MAX_BYTES: Final = 8 << 30
NICE: Final = 10
#: Between two words about how far it is, in parts of the whole.
STEP: Final = 0.002


def main() -> None:
    """See the module."""
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    path = Path(sys.argv[1])
    asked = msgspec.json.decode(path.read_bytes(), type=JobFile)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    said = [-1.0]

    def say(progress: Progress) -> None:
        if progress.share >= 1 or progress.share - said[0] >= STEP:
            said[0] = progress.share
            _write(Said(progress=progress))

    try:
        answer(asked, path.parent, say)
    except Exception as error:
        problem = as_problem(error)
        if problem.status >= 500:
            traceback.print_exc()
            problem = Problem(500, "internal", type(error).__name__)
        _write(Said(failure=Failure(code=problem.code, detail=problem.detail,
                                    field=problem.field)))
        sys.exit(1)


def _write(line: Said) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(3)


if __name__ == "__main__":
    main()

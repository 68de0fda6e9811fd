"""Compile a base of the store beside the one in force: python -m api.compile STATE

Prints its generation and revision.
"""

import sys
from pathlib import Path

from api.publish.publisher import compile_base
from store import SqliteStore


def main() -> None:
    """See the module."""
    state = Path(sys.argv[1])
    print(*compile_base(SqliteStore(state / "vaxel.db"), state))


if __name__ == "__main__":
    main()

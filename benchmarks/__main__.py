"""python -m benchmarks NAME [--json]

Progress goes to standard error; the result is one JSON object on standard output, or a table.
"""

import argparse
import importlib
import json
import sys

SUBJECTS = ("kernel", "publish", "edge", "callcontrol", "queue", "menu", "queueload", "api")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, epilog="example: python -m benchmarks "
        "kernel --json", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=SUBJECTS)
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    parser.add_argument("--quick", action="store_true", help="smaller: shows that it runs")
    arguments = parser.parse_args()
    subject = importlib.import_module(f"benchmarks.{arguments.name}")
    result = subject.run(arguments.quick, lambda text: print(text, file=sys.stderr))
    if arguments.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:24} {value}")


if __name__ == "__main__":
    main()

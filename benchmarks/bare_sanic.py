"""The floor of benchmarks/api.py: a Sanic handler that answers JSON and does nothing else."""

import sys
from typing import Any

from sanic import HTTPResponse, Request, Sanic
from sanic.log import LOGGING_CONFIG_DEFAULTS
from sanic.response import json

#: As large as what the API answers.
ROW = {"id": 1, "tenant": 1, "name": "User 1", "extension": "10001", "display": "direct",
       "barred": [], "area": None, "ring_s": 25, "enabled": True, "record": False,
       "call_waiting": False, "language": None, "call_functions": False, "colleague": None,
       "plan": None, "profiles": []}


def main() -> None:
    """python -m benchmarks.bare_sanic PORT"""
    app: Sanic[Any, Any] = Sanic("bare", configure_logging=False,
                                 log_config=LOGGING_CONFIG_DEFAULTS)
    app.config.ACCESS_LOG = False

    @app.get("/row")
    async def read(_request: Request) -> HTTPResponse:
        return json(ROW)

    @app.patch("/row")
    async def write(request: Request) -> HTTPResponse:
        return json(ROW | request.json)

    app.run("127.0.0.1", int(sys.argv[1]), single_process=True, motd=False, access_log=False)


if __name__ == "__main__":
    main()

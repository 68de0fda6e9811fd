"""The API process: composes its parts and serves. python -m api.app STATE

One process, one writer: every change goes through its event loop.
"""

import argparse
import asyncio
import importlib
import json
import time
from pathlib import Path
from typing import Any

import structlog
from sanic import HTTPResponse, Request, Sanic
from sanic.log import LOGGING_CONFIG_DEFAULTS

from api.attendants.routes import Places
from api.calls.aside import Aside
from api.events import routes as events
from api.events.stream import Lamps
from api.http import dispatch
from api.http.errors import as_problem, respond
from api.http.parts import Parts
from api.lines.ends import Ends
from api.operations import metrics
from api.operations.office import Operations
from api.planned.clockwork import Clockwork
from api.publish.publisher import Publisher
from api.whatif.jobs import Runner
from routing_core import Live, mapping
from routing_core.codes import Beat
from store import SqliteStore

log = structlog.get_logger()

#: The supervisor looks every second whether this loop turns.
BEAT_S = 0.5

MAX_BODY = 1 << 20
#: Folders whose routes.py declares routes.
FOLDERS = tuple(sorted(path.parent.name
                       for path in Path(__file__).parent.glob("*/routes.py")))
for _folder in FOLDERS:
    importlib.import_module(f"api.{_folder}.routes")


def build_app(state: Path, settings: dict[str, Any]) -> Sanic[Any, Any]:
    """The application, ready to run; opens store and snapshot when the server starts."""
    app: Sanic[Any, Any] = Sanic("vaxel", configure_logging=False,
                                 log_config=LOGGING_CONFIG_DEFAULTS)
    app.config.REQUEST_MAX_SIZE = MAX_BODY
    app.config.ACCESS_LOG = False
    app.config.FALLBACK_ERROR_FORMAT = "json"
    dispatch.attach(app)
    events.attach(app)

    @app.before_server_start
    async def open_parts(app: Sanic[Any, Any]) -> None:
        store = SqliteStore(state / "vaxel.db")
        store.migrate()
        parts = Parts(store, Publisher(store, state, metrics.commit), mapping.open_kernel(state),
                      state, settings)
        parts.publisher.published = parts.changed
        parts.request_done = metrics.request_done
        parts.lists, parts.statistics = (
            Aside(state / "vaxel.db", name) for name in ("lists", "figures"))
        parts.what_ifs = Runner(store, state, parts.now_ms, parts.publisher.commits.run)
        parts.places = Places()
        app.ctx.parts, app.ctx.lamps = parts, Lamps(parts)
        app.ctx.operations = await Operations.open(parts)
        app.ctx.jobs = [asyncio.ensure_future(job) for job in (
            Clockwork(parts).run(), Ends(parts).run(), parts.what_ifs.run(),
            _beat(parts.publisher.live))]

    @app.after_server_stop
    async def close_parts(app: Sanic[Any, Any]) -> None:
        for job in app.ctx.jobs:
            job.cancel()
        await asyncio.gather(*app.ctx.jobs, return_exceptions=True)
        await app.ctx.operations.close()
        parts: Parts = app.ctx.parts
        parts.lists.close()
        parts.statistics.close()
        parts.store.close()

    @app.exception(Exception)
    async def on_error(request: Request, error: Exception) -> HTTPResponse:
        problem = as_problem(error)
        if problem.status == 500:
            log.exception("request failed", path=request.path,
                          request=dispatch.request_id(request), exc_info=error)
        if problem.status == 405:
            problem.headers.setdefault("Allow", dispatch.methods_of(request.path))
        return respond(request, problem)

    return app


async def _beat(live: Live) -> None:
    """Show that this loop turns."""
    while True:
        live.beat(Beat.BEAT_API, time.time_ns() // 1_000_000)
        await asyncio.sleep(BEAT_S)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path)
    state = parser.parse_args().state.resolve()
    if not structlog.is_configured():  # by vaxel.logged; rich would render whole bodies
        structlog.configure(processors=[structlog.processors.add_log_level,
                                        structlog.processors.format_exc_info,
                                        structlog.processors.JSONRenderer()])
    settings = json.loads((state / "settings.json").read_text())
    build_app(state, settings).run(settings["address"], settings["api_port"], single_process=True,
                                   motd=False, access_log=False)


if __name__ == "__main__":
    main()

"""The API process: composes its parts and serves. python -m api.app STATE

One process, one writer: every change goes through its event loop.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import structlog
from sanic import HTTPResponse, Request, Sanic
from sanic.log import LOGGING_CONFIG_DEFAULTS

from api.calls.routes import calls
from api.config.routes import resources, respond
from api.events.routes import events
from api.figures.routes import queue_figures
from api.http.context import Parts, operator_only, parts_of, whole
from api.http.errors import as_problem
from api.http.errors import respond as problem_response
from api.lines.routes import live
from api.live.routes import control
from api.mailboxes.routes import mailboxes
from api.prompts.routes import prompts
from api.proof.routes import proof_report
from api.publish.publisher import Publisher
from api.queues.routes import queue_live
from routing_core import mapping
from store import SqliteStore

log = structlog.get_logger()

MAX_BODY = 1 << 20


def build_app(state: Path, operator_key: str, control_processes: int = 1) -> Sanic[Any, Any]:
    """The application, ready to run; opens store and snapshot when the server starts."""
    app: Sanic[Any, Any] = Sanic("vaxel", configure_logging=False,
                                 log_config=LOGGING_CONFIG_DEFAULTS)
    app.config.REQUEST_MAX_SIZE = MAX_BODY
    app.config.ACCESS_LOG = False
    app.config.FALLBACK_ERROR_FORMAT = "json"
    app.blueprint(resources)
    app.blueprint(live)
    app.blueprint(prompts)
    app.blueprint(mailboxes)
    app.blueprint(events)
    app.blueprint(control)
    app.blueprint(calls)
    app.blueprint(proof_report)
    app.blueprint(queue_live)
    app.blueprint(queue_figures)

    @app.before_server_start
    async def open_parts(app: Sanic[Any, Any]) -> None:
        store = SqliteStore(state / "vaxel.db")
        store.migrate()
        publisher = Publisher(store, state)
        app.ctx.parts = Parts(store, publisher, mapping.open_kernel(state), state, operator_key,
                              control_processes)

    @app.after_server_stop
    async def close_parts(app: Sanic[Any, Any]) -> None:
        app.ctx.parts.store.close()

    @app.exception(Exception)
    async def on_error(request: Request, error: Exception) -> HTTPResponse:
        problem = as_problem(error)
        if problem.status == 500:
            log.exception("request failed", path=request.path, exc_info=error)
        return problem_response(request, problem)

    @app.get("/v1/health")
    async def health(request: Request) -> HTTPResponse:
        """Whether what this process needs is there; no key needed, nothing secret told."""
        parts = parts_of(request)
        now_ms = parts.now_ms()
        state_of: dict[str, Any] = {
            "store": "ok", "media_nodes_up": parts.publisher.live.media_up.bit_count(),
            "keeper_seen_ms_ago": max(now_ms - parts.publisher.live.heartbeat_ms, 0),
            "revision": parts.store.revision(), "published": parts.kernel.snapshot.revision,
        }
        good = state_of["revision"] == state_of["published"] \
            and state_of["keeper_seen_ms_ago"] < 5000 and state_of["media_nodes_up"] > 0
        return respond({"status": "ok" if good else "degraded"} | state_of)

    @app.get("/v1/revisions")
    async def revisions(request: Request) -> HTTPResponse:
        """What was changed, by whom, before and after; secrets left out."""
        parts = parts_of(request)
        operator_only(parts.who(request))
        found = parts.store.revisions(after=whole(request, "after", 0, 0, 1 << 62),
                                      limit=whole(request, "limit", 100, 1, 1000))
        for revision in found:
            for change in revision.changes:
                for row in (change.before, change.after):
                    for name in ("secret", "digest"):
                        if row and row.get(name):
                            row[name] = "hidden"
                    if row and change.table == "service" and row["settings"].get("pin"):
                        row["settings"]["pin"] = "hidden"
        return respond({"items": found})

    return app


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path)
    state = parser.parse_args().state.resolve()
    settings = json.loads((state / "settings.json").read_text())
    app = build_app(state, settings["api_key"], settings["control_processes"])
    app.run(settings["address"], settings["api_port"], single_process=True, motd=False,
            access_log=False)


if __name__ == "__main__":
    main()

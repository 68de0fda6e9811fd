"""Where a changed configuration comes from: writes as the API takes them, made in a private
copy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from api.config import routes as config_routes
from api.http.errors import invalid
from api.http.later import Operation, find, run_all
from api.http.parts import Parts
from api.http.route import Call
from api.http.who import Who
from store import SqliteStore
from store.sqlite import SqliteWriter

#: Makes the change; raises what a change of the real configuration would.
Change = Callable[[SqliteWriter], object]

MAX_OPERATIONS: Final = 1000


def check(tenant: int, operations: tuple[Operation, ...]) -> None:
    """Problem for what is no write of the company's configuration."""
    assert config_routes.RESOURCES  # they are declared
    if not 0 < len(operations) <= MAX_OPERATIONS:
        raise invalid("operations", f"1 to {MAX_OPERATIONS} operations can be asked about")
    for index, operation in enumerate(operations):
        _, ids = find(operation)
        if ids.get("tenant") != tenant:
            raise invalid(f"operations[{index}].path", "only the own company can be asked about")


def without_pins(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    """The same without what no answer depends on and nobody should read."""
    return tuple(msgspec.structs.replace(one, body=_bare(one.body)) for one in operations)


def _bare(body: Any) -> Any:
    settings = body.get("settings") if isinstance(body, dict) else None
    if not isinstance(settings, dict) or "pin" not in settings:
        return body
    return body | {"settings": {name: value for name, value in settings.items() if name != "pin"}}


def of_operations(store: SqliteStore, who: Who, operations: tuple[Operation, ...],
                  now_ms: int) -> Change:
    """The change that these writes of theirs are; store: the private copy."""
    nothing: Any = None
    parts = Parts(store, nothing, nothing, Path(), {})

    def change(writer: SqliteWriter) -> None:
        run_all(Call(nothing, nothing, parts, who, {}, now_ms), operations, writer)

    return change

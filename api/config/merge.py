"""JSON merge patch (RFC 7396)."""

from typing import Any


def merged(before: Any, patch: Any, inner: bool = False) -> Any:
    """What the patch makes of it: objects are merged, null takes a member away, anything else takes
    its place. Settings of another type and a target of another kind are others: nothing of the
    earlier one stays."""
    if not isinstance(patch, dict):
        return patch
    if not isinstance(before, dict) or (inner and any(
            before.get(name) != patch.get(name, before.get(name)) for name in ("type", "kind"))):
        before = {}
    result = dict(before)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value, inner=True)
    return result

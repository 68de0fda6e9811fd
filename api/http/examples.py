"""Examples for the document: made from the schemas of its bodies."""

import re
from typing import Any, Final

#: What is usual for a name; a text of another name is the first of these that its schema allows.
TEXTS: Final = {
    "name": "North", "number": "+46812345678", "extension": "101", "email": "anna@example.com",
    "username": "anna-desk", "password": "one more cup of coffee", "old": "tea for the tillerman",
    "new": "one more cup of coffee", "code": "123456", "key": "1", "prefix": "+46",
    "host": "sip.carrier.example", "issuer": "https://id.example.com", "client_id": "vaxel",
    "url": "https://example.com/hook", "text": "Your table is ready.", "reason": "lunch",
    "side": "caller", "method": "PATCH", "path": "/v1/tenants/1/users/7", "to": "12",
    "date": "2026-12-24", "end": "17:00",
    "token": "q7nXW2kVt0sBz5hLr8yMcJd3PfGaUe6iOwNxHlKvTbY", "ticket":
    "q7nXW2kVt0sBz5hLr8yMcJd3PfGaUe6iOwNxHlKvTbY",
}
#: Beyond it only what is needed is shown.
DEPTH: Final = 5


def example(schema: dict[str, Any], schemas: dict[str, Any], name: str = "",
            depth: int = 0) -> Any:
    """Something that the schema allows: what is needed, with its first value."""
    if "$ref" in schema:
        return example(schemas[schema["$ref"].rpartition("/")[2]], schemas, name, depth + 1)
    if "anyOf" in schema:
        return example(schema["anyOf"][0], schemas, name, depth + 1)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object":
            known = schema.get("properties", {})
            wanted = schema.get("required") or list(known)[:2]
            return {one: example(known[one], schemas, one, depth + 1)
                    for one in wanted if depth < DEPTH and one in known}
        case "array":
            return [example(schema["items"], schemas, name, depth + 1)] \
                if schema.get("minItems") else []
        case "integer":
            return max(schema.get("minimum", 1), 1)
        case "number":
            return 1.5
        case "boolean":
            return True
        case "string":
            return next(text for text in (TEXTS.get(name), *TEXTS.values())
                        if text is not None and _allows(schema, text))
    return {}


def _allows(schema: dict[str, Any], text: str) -> bool:
    return schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text)) \
        and re.search(schema.get("pattern", ""), text) is not None

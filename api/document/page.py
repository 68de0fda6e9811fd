"""Pages that are read: plain HTML, without a script, with headings to jump to and a table of
contents, for a keyboard and a screen reader as well as for eyes."""

import html
import json
import re
from typing import Any, Final

from api.http.problems import PROBLEMS

#: Nothing is loaded from anywhere.
HEADERS: Final = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
                  "X-Content-Type-Options": "nosniff"}
_STYLE: Final = """
:root{color-scheme:light dark;--line:color-mix(in srgb,currentColor 20%,transparent)}
body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:0 auto;padding:1rem}
code,pre{font:.9em/1.45 ui-monospace,monospace}pre{overflow:auto;padding:.6rem;
border:1px solid var(--line);border-radius:.3rem}
h2{border-top:2px solid var(--line);padding-top:1rem}h3{margin-top:2rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;
padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line)}
.method{display:inline-block;min-width:4.5em;font-weight:700}nav ul{columns:18rem}
a:focus-visible,summary:focus-visible{outline:3px solid Highlight;outline-offset:2px}
.skip{position:absolute;left:-999px}.skip:focus{left:1rem}
"""


def _whole(title: str, body: str) -> str:
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<style>{_STYLE}</style></head><body>{body}</body></html>")


def _text(text: str) -> str:
    """A little Markdown: **bold**, `code`, paragraphs."""
    safe = html.escape(text)
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)
    safe = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", safe)
    return "".join(f"<p>{part}</p>" for part in safe.split("\n\n") if part.strip())


def of_problem(code: str) -> str:
    """The page of a code."""
    kind = PROBLEMS[code]
    return _whole(f"{code}: {kind.title}", (
        f"<main><h1>{html.escape(kind.title)}</h1><p><code>{code}</code>, status {kind.status}</p>"
        f"{_text(kind.text)}<p><a href='/v1/docs'>All of the API</a></p></main>"))


def of_document(document: dict[str, Any]) -> str:
    """The page of the API."""
    schemas = document["components"]["schemas"]
    by_tag: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append((method, path, operation))
    contents = "".join(f'<li><a href="#{tag}">{tag}</a> ({len(operations)})</li>'
                       for tag, operations in sorted(by_tag.items()))
    sections = "".join(
        f'<section><h2 id="{tag}">{tag}</h2>'
        + "".join(_operation(*one) for one in operations) + "</section>"
        for tag, operations in sorted(by_tag.items()))
    types = "".join(_schema(name, schema) for name, schema in sorted(schemas.items()))
    return _whole(f"{document['info']['title']} API", (
        '<a class="skip" href="#main">To the contents</a>'
        f"<header><h1>{document['info']['title']} API {document['info']['version']}</h1>"
        f"{_text(document['info']['description'])}"
        '<p><a href="/v1/openapi.json">OpenAPI 3.1 document</a></p></header>'
        f'<nav aria-label="Contents"><ul>{contents}<li><a href="#types">types</a></li></ul></nav>'
        f'<main id="main">{sections}<section><h2 id="types">types</h2>{types}</section></main>'))


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    parts = [f'<h3 id="{operation["operationId"]}"><span class="method">{method.upper()}</span> '
             f'<code>{html.escape(path)}</code></h3>',
             f"<p><strong>{html.escape(operation['summary'])}</strong></p>",
             _text(operation["description"])]
    given = [one for one in operation["parameters"] if one["in"] != "path"]
    if given:
        parts.append("<table><caption>Parameters</caption><thead><tr><th scope=col>Name</th>"
                     "<th scope=col>In</th><th scope=col>Is</th></tr></thead><tbody>" + "".join(
                         f"<tr><th scope=row><code>{one['name']}</code></th><td>{one['in']}</td>"
                         f"<td>{_kind(one['schema'])}</td></tr>" for one in given)
                     + "</tbody></table>")
    for name, body in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<p>Body: <code>{name}</code> {_kind(body['schema'])}</p>")
        if "example" in body:
            parts.append(f"<pre>{html.escape(json.dumps(body['example'], indent=1))}</pre>")
    rows = []
    for status, answer in operation["responses"].items():
        code = answer.get("$ref", "").rpartition("/")[2]
        text = f'<a href="/v1/problems/{code}"><code>{code}</code></a>' if code \
            else _text(answer["description"])
        kinds = [_kind(one["schema"]) for name, one in answer.get("content", {}).items()
                 if "schema" in one and name == "application/json"]
        rows.append(f"<tr><th scope=row>{status}</th><td>{text}{' '.join(kinds)}</td></tr>")
    parts.append("<details><summary>Answers</summary><table><tbody>" + "".join(rows)
                 + "</tbody></table></details>")
    return "<article>" + "".join(parts) + "</article>"


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#type-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"<code>{html.escape(json.dumps(one))}</code>" for one in schema["enum"])
    if "const" in schema:
        return f"<code>{html.escape(json.dumps(schema['const']))}</code>"
    text = str(schema.get("type", "anything"))
    if text == "array":
        inner = schema.get("items") or schema.get("prefixItems", [{}])[0]
        text = f"list of {_kind(inner) if isinstance(inner, dict) else 'anything'}"
    for name, sign in (("minimum", "≥"), ("maximum", "≤"), ("exclusiveMaximum", "&lt;"),
                       ("maxLength", "length ≤"), ("maxItems", "items ≤")):
        if name in schema:
            text += f", {sign} {schema[name]}"
    if "pattern" in schema:
        text += f", <code>{html.escape(schema['pattern'])}</code>"
    if "description" in schema:
        text += f": {html.escape(schema['description'])}"
    return text


def _schema(name: str, schema: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><th scope=row><code>{field}</code>{' (needed)' if needed else ''}</th>"
        f"<td>{_kind(one)}</td></tr>"
        for field, one in schema.get("properties", {}).items()
        for needed in [field in schema.get("required", ())])
    return (f'<article><h3 id="type-{name}">{name}</h3>{_text(schema.get("description", ""))}'
            f"<table><tbody>{rows}</tbody></table></article>")

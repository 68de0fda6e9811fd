"""What is wrong with a value is told in sentences, and all of it at once."""

from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta, Struct

from api.http.faults import SENTENCES, fault_of, faults_of
from store.model import TABLES, User


def patterns(schema: Any) -> set[str]:
    """All in a JSON schema."""
    if isinstance(schema, dict):
        found = {schema["pattern"]} if isinstance(schema.get("pattern"), str) else set()
        return found.union(*map(patterns, schema.values()))
    return set().union(*map(patterns, schema)) if isinstance(schema, list) else set()


def test_every_pattern_of_a_row_has_a_sentence() -> None:
    found = set().union(*(patterns(msgspec.json.schema(kind)) for kind in TABLES.values()))
    assert found == set(SENTENCES)


@pytest.mark.parametrize("pattern", SENTENCES)
def test_nobody_reads_a_pattern(pattern: str) -> None:
    """As msgspec tells of it, whatever has to be escaped."""
    class Row(Struct):
        text: Annotated[str, Meta(pattern=pattern)]

    for wrong in ("\0", "\0 \u00e5", "\x01" * 600):
        with pytest.raises(msgspec.ValidationError) as caught:
            msgspec.convert({"text": wrong}, Row)
        fault = fault_of(caught.value)
        assert (fault.field, fault.detail) == ("text", SENTENCES[pattern])


def test_all_at_once() -> None:
    body = {"name": 7, "extension": "x", "ring_s": "long", "barred": ["all"], "colour": "red"}
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(body, User)
    found = faults_of(body, User, caught.value)
    assert {one.field for one in found} >= {"tenant", "name", "extension", "ring_s", "barred[0]"}
    assert faults_of([], User, caught.value) == [fault_of(caught.value)]

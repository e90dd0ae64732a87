"""Two versions of sgevents on one state: what one writes the other reads, or stops at."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, get_args

import msgspec
import pytest

from sgevents_core.errors import MessageTooNew
from sgevents_core.state.nats.messages import (
    VERSION,
    AnyMessage,
    FirstCursors,
    decode_message,
    encode_message,
)

FOLDER = Path(__file__).parent
LAYOUT = FOLDER / "message_layout.txt"
"""What each message holds; its first line says what to do when it changes."""
_PROSE = frozenset({"title", "description", "uniqueItems"})
"""What schemas say for people, or only in newer versions of msgspec."""
SAMPLES = FOLDER / "message_samples.txt"
"""A message of each kind as the first version with several hosts wrote it."""


def layout_lines() -> Iterator[str]:
    """Yield what each message, and each value within one, holds now."""
    for kind in sorted(get_args(AnyMessage), key=lambda kind: kind.__name__):
        yield f"{kind.__name__} since version {kind.version}"
    schemas = msgspec.json.schema(AnyMessage)["$defs"]
    for name in sorted(schemas):
        yield f"{name} {json.dumps(without_prose(schemas[name]), sort_keys=True)}"


def without_prose(schema: Any) -> Any:
    """Return a schema without what is written for people."""
    if isinstance(schema, dict):
        return {
            key: without_prose(inner)
            for key, inner in schema.items()
            if key not in _PROSE or isinstance(inner, dict)
        }
    if isinstance(schema, list):
        return [without_prose(inner) for inner in schema]
    return schema


def samples() -> dict[str, bytes]:
    """Return the messages of the first version, by their tag."""
    lines = [line.split() for line in SAMPLES.read_text().splitlines()]
    return {tag: base64.b64decode(encoded) for tag, encoded in lines}


def is_kept(before: Any, written: Any) -> bool:
    """Return whether a value holds all of an earlier one: lists may have become longer."""
    if isinstance(before, dict) and isinstance(written, dict):
        return all(key in written and is_kept(before[key], written[key]) for key in before)
    if isinstance(before, list) and isinstance(written, list):
        return len(before) <= len(written) and all(map(is_kept, before, written))
    return bool(before == written)


def test_layout_of_messages_is_the_recorded_one() -> None:
    """Whoever changes it decides whether hosts of earlier versions may go on without knowing."""
    head, *recorded = LAYOUT.read_text().splitlines()
    assert list(layout_lines()) == recorded, head


@pytest.mark.parametrize("tag", samples())
def test_messages_of_the_first_version_are_read(tag: str) -> None:
    """A state that it wrote is one that this version goes on with: nothing in it gets lost."""
    data = samples()[tag]
    message = decode_message(data, "alpha")
    written = msgspec.msgpack.decode(encode_message(message)[3:], strict=False)
    before = msgspec.msgpack.decode(data[3:], strict=False)
    assert before["k"] == tag
    assert is_kept(before, written)


def test_there_is_a_sample_of_every_kind() -> None:
    """One that is added later comes with a later version, or with a sample."""
    of_first_version = {
        kind.__struct_config__.tag for kind in get_args(AnyMessage) if kind.version == 1
    }
    every_kind = {kind.__struct_config__.tag for kind in get_args(AnyMessage)}
    assert of_first_version <= samples().keys() <= every_kind


def test_only_what_an_earlier_version_cannot_know_stops_it() -> None:
    """The newest version writes each kind with the version that introduced it."""

    class Later(FirstCursors, tag="later"):
        version: ClassVar[int] = VERSION + 1

    assert isinstance(decode_message(encode_message(FirstCursors({"a": 1})), "x"), FirstCursors)
    with pytest.raises(MessageTooNew, match="upgrade sgevents on render07"):
        decode_message(encode_message(Later({"a": 1})), "render07")


def test_field_that_a_later_version_adds_is_passed_over() -> None:
    """What hosts may go on without knowing needs no new version."""
    raw = {"k": "first_cursors", "cursors": {"a": 1}, "after": {}, "colour": "red"}
    data = b"R" + (1).to_bytes(2, "big") + msgspec.msgpack.encode(raw)
    assert decode_message(data, "x") == FirstCursors({"a": 1})

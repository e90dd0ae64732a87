"""The plugin note-notify, loaded as the daemon loads it, on the events of a sandbox site."""

from __future__ import annotations

import json
from collections.abc import Callable

from desk import Desk, note, version

Told = Callable[[], list[str]]


def test_artist_is_told_in_the_log(desk: Desk, told: Told) -> None:
    """A note on a version tells the version's artist; other links tell nobody."""
    desk.enable("note-notify")
    note(desk, "anna", [desk.shot, version(desk)])
    desk.catch_up()
    assert told() == ["to Ben: Anna on v1: Ears"]


def test_nobody_is_told_of_their_own_note(desk: Desk, told: Told) -> None:
    """Who writes a note on their own version is not told."""
    desk.enable("note-notify")
    note(desk, "ben", [version(desk)])
    desk.catch_up()
    assert told() == []


def test_message_in_a_file_has_the_key_of_the_call(desk: Desk) -> None:
    """With the setting `file` messages go there, each with the key that a repeat would have."""
    file = desk.folder / "told.jsonl"
    desk.enable("note-notify", file=str(file))
    note(desk, "anna", [version(desk)])
    desk.catch_up()
    (line,) = file.read_text().splitlines()
    message = json.loads(line)
    assert message["to"] == "Ben"
    assert message["text"] == "Anna on v1: Ears"
    assert message["key"].endswith(":sgevents_plugins_example.note_notify:on_new")

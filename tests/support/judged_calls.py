"""Calls that plugins recorded, compared with those of a run without kills."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from killed_acts import ENTITIES, PLUGINS, Act, entity_of

PLACES = [(plugin, callback) for plugin in PLUGINS for callback in ("every", "changed")]
"""All callbacks in call order."""


class Note(NamedTuple):
    """One call as a plugin recorded it."""

    event: int
    plugin: str
    callback: str
    attempt: int
    key: str


def judged(act: Act, wanted: list[Note], got: list[Note], journal: list[str]) -> Iterator[str]:
    """Compare the calls made in an act with those made without a kill, and report differences."""
    before, after = _attempts(wanted), _attempts(got)
    for key in {*before, *after}:
        made = after.get(key, [])
        if made != sorted(set(made)) or (made and key not in before):
            yield f"{key}: attempts {made} instead of {before.get(key)}"
    lost = [key for key in before if max(after.get(key, [0])) < max(before[key])]
    more = [max(made) - max(before.get(key, [0])) for key, made in after.items()]
    not_made = [
        max(made) - min(before.get(key, [1])) + 1 - len(made) for key, made in after.items()
    ]
    if lost or sum(more) > act.workers or sum(not_made) > act.workers:
        yield f"lost {lost}, {sum(more)} called once more, {sum(not_made)} begun and not made"
    groups = [act.steady, *((plugin,) for plugin in PLUGINS)]
    for notes in [got] if act.workers == 1 else _by_entity(got):
        for plugins in groups:
            order = _order(act, notes, plugins, journal)
            if order != sorted(order):
                yield f"the order of {plugins} is {order}"


def _by_entity(notes: list[Note]) -> list[list[Note]]:
    """Return the calls for each entity: in a divided lane those of one are in order."""
    return [
        [note for note in notes if entity_of(note.event) == entity] for entity in range(ENTITIES)
    ]


def _attempts(notes: list[Note]) -> dict[str, list[int]]:
    """Return the attempts made, by the key of the call, in their order."""
    found: dict[str, list[int]] = {}
    for note in notes:
        found.setdefault(note.key, []).append(note.attempt)
    return found


def _order(
    act: Act, notes: list[Note], plugins: tuple[str, ...], journal: list[str]
) -> list[tuple[int, int]]:
    """Return the places, in journal and call order, of first calls that no person requested."""
    first = {note.key: note for note in reversed(notes) if note.plugin in plugins}
    unordered = act.again | act.deferred
    asked = [one for one in notes if (one.plugin, one.event) in unordered]
    return [
        (journal.index(_event(note)), PLACES.index((note.plugin, note.callback)))
        for note in notes
        if first.get(note.key) is note and note not in asked
    ]


def _event(note: Note) -> str:
    """Return what identifies an event across eras."""
    era, event = note.key.removeprefix("127.0.0.1:").split(":")[1:3]
    return f"{era}:{event}"

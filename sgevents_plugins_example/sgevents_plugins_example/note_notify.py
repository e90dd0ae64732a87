"""Notify the artist of a version that somebody has written a note on it.

One function, `Tell`, decides how people are notified: here by a line in the log or in a file. A
studio puts its chat or mail there, and nothing else changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sgevents_core import Context, Event, hookimpl, match

Tell = Callable[[str, str], None]
"""Notifies a person, the first argument, with a text, the second."""


@hookimpl
@match(entity_type="Note")
def on_new(event: Event, ctx: Context) -> None:
    """Notify the artist of every version that the new note is linked to, except its own author."""
    note = ctx.sg.find_one("Note", [["id", "is", event.entity_id]], ["subject", "note_links"])
    if note is None:
        return
    links = note["note_links"]
    tell = way_of_telling(ctx)
    for version in (link for link in links if link["type"] == "Version"):
        artist = artist_of(version, ctx.sg)
        if artist and not (event.user and artist["id"] == event.user["id"]):
            author = event.user["name"] if event.user else "Somebody"
            tell(artist["name"], f"{author} on {version['name']}: {note['subject']}")


def artist_of(version: dict[str, Any], sg: Any) -> dict[str, Any] | None:
    """Return the artist of a version, as a link with `name`, or None if it has none."""
    found = sg.find_one("Version", [["id", "is", version["id"]]], ["user"])
    return found["user"] if found else None


def way_of_telling(ctx: Context) -> Tell:
    """Return the way to notify: append lines of JSON to the setting `file`, or log."""
    file = ctx.settings.get("file")
    if file is None:
        return lambda person, text: ctx.logger.info("to %s: %s", person, text)
    return lambda person, text: append(Path(file), person, text, ctx.key)


def append(file: Path, person: str, text: str, key: str) -> None:
    """Append a message to a file.

    Args:
        file: Created if it does not exist; its folder has to exist.
        person: The person to notify.
        text: The message.
        key: The same whenever this call is made again, so that a reader can drop a second message.
            A mailer would derive its `Message-ID` from it.
    """
    line = json.dumps({"key": key, "to": person, "text": text}, ensure_ascii=False)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(line + "\n")

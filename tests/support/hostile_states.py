"""States in which every value is hostile: names, reasons, errors, stores and rows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from console_states import fill_state
from journal_rows import AT, event_row, grow
from state_values import failure

from sgevents_core.state.opening import open_state
from sgevents_core.state.steps import Step

TEXTS = {
    "markup": '"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7777 }}',
    "quotes": "' onmouseover='alert(1)' \" autofocus onfocus=\"alert(1)",
    "ansi": "\x1b[31mred\x1b[0m\x07\x1b]0;title\x07",
    "right to left": "\u202egnp.exe \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u2066\u200f",
    "control": "a\x08c\x7fd\x85e\u2028f\ufefffull",
    "long": "x" * 1_000_000,
    "long words": "no spaces anywhere" * 3000,
}
NAMES = {kind: text[:120] for kind, text in TEXTS.items()}
FIRST_EVENT = 201
"""The id of the first hostile event; the others follow in the order of the texts."""


def fill_with_hostile_plugins(state_folder: Path) -> None:
    """Record a plugin for each kind of text, which is its name, its error and its store."""
    for kind, text in TEXTS.items():
        fill_state(state_folder, NAMES[kind], text)
    with closing(open_state(state_folder).requests()) as requests:
        for kind, text in TEXTS.items():
            requests.ask("pause", NAMES[kind], {"reason": text}, text[:1000])


def fill_with_hostile_events(state_folder: Path) -> None:
    """Append an event for each kind of text, with the text in every value and two failures."""
    state_folder.mkdir(exist_ok=True)
    with closing(open_state(state_folder).writer()) as state:
        fence = state.take_lane("main")
        for number, (kind, text) in enumerate(TEXTS.items()):
            event_id = FIRST_EVENT + number
            link = {"type": text, "id": event_id, "name": text}
            meta = {"old_value": text, "new_value": [text], "entity_type": text, text: text}
            project = {**link, "type": "Project"}
            values: dict[str, Any] = {"entity": link, "user": link, "project": project}
            row = event_row(event_id, text, AT, attribute_name=text, meta=meta, **values)
            grow(state, [row], late=[event_id])
            seq = state.end()
            failed = failure(NAMES[kind], seq=seq, event_id=event_id, error=text, traceback=text)
            state.record("main", fence, Step(failure=failed, dead=True))
            state.record("main", fence, Step(failure=failed))

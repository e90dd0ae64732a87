"""Odd rows all the way: through journal, lanes and callbacks to the commands that show them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from commanding import installed_here
from odd_site import odd_site, text_of
from running_daemon import RunningDaemon

from sgevents_core.sandbox import Sandbox
from sgevents_core.state.opening import open_state

PLUGIN = """
    import json
    from sgevents_core import hookimpl, match

    NAMES = [
        "id", "event_type", "domain", "action", "attribute", "old_value", "new_value", "added",
        "removed", "in_create", "is_transient", "meta", "entity", "entity_type", "entity_id",
        "is_back_reference", "original_event_id", "project", "project_id", "user", "script",
        "sudo_user", "session_uuid", "created_at", "row",
    ]

    @hookimpl
    def on_event(event, ctx):
        for name in NAMES:
            getattr(event, name)
        dict(event), str(event), repr(event), hash(event)
        with open({calls!r}, "a") as file:
            file.write(f"{{event.id}} odd every {{ctx.attempt}}\\n")

    @hookimpl(specname="on_event")
    @match(entity_type="Shot", attribute="code", project=5, new_value="x", user=7)
    def narrowed(event, ctx):
        pass

    @hookimpl(specname="on_event")
    def failing(event, ctx):
        if event.id % 2:
            raise ValueError(f"{{event!s}} {{event.meta}}"[:100_000])
"""
"""A plugin that looks at all there is of an event, and fails on every other one."""


def odd_texts() -> list[str]:
    """Rows that can be taken, one of each kind, with an id of their own each."""
    deep = "[" * 1_100 + "]" * 1_100
    fields = [
        ("created_at", "null"),
        ("created_at", '"soon"'),
        ("created_at", '"0001-01-01T00:00:00Z"'),
        ("created_at", '"9999-12-31T23:59:59Z"'),
        ("event_type", "null"),
        ("event_type", '"Studio_\\u0000\\u001b[31m\\n"'),
        ("event_type", '"' + "x" * 100_000 + '"'),
        ("meta", deep),
        ("meta", '{"type": "attribute_change", "new_value": ' + deep + "}"),
        ("meta", "[" * 95 + "]" * 95),
        ("meta", f'{{"new_value": {"9" * 4_400}}}'),
        ("meta", f'{{"entity_id": {"9" * 900}, "entity_type": "Shot"}}'),
        ("meta", '{"new_value": NaN, "old_value": 1e999}'),
        ("meta", json.dumps({"new_value": "x" * 1_000_000})),
        ("meta", '"{\\"a\\": ' + "[" * 2_000 + '"'),
        ("meta", '{"new_value": "\\ud83d", "\\udc00": 1}'),
        ("entity", '"text"'),
        ("entity", '{"type": ["Shot"], "id": {"a": 1}, "name": null}'),
        ("entity", f'{{"type": "Shot", "id": {2**70}}}'),
        ("user", "[1]"),
        ("user", '{"type": "ApiUser", "id": null, "name": 5}'),
        ("project", f'{{"type": "Project", "id": {2**80}}}'),
        ("session_uuid", '{"a": 1}'),
        ("attribute_name", "7"),
    ]
    texts = []
    for place, (name, value) in enumerate(fields):
        record = json.loads(text_of(10 + place))
        record.pop(name)
        texts.append(f'{json.dumps(record)[:-1]}, "{name}": {value}}}')
    return texts


def test_they_blow_up_nowhere(tmp_path: Path) -> None:
    """Every one is handed out, failures on them are kept, and all commands show them."""
    with odd_site() as site:
        for place, text in enumerate(odd_texts()):
            site.rows[10 + place] = text
        ids = sorted(site.rows)
        site.rows[500] = json.dumps({"id": 2**63})
        site.rows[501] = "null"
        daemon = RunningDaemon(tmp_path, cast("Sandbox", site))
        daemon.feed = 'poll_interval = "50ms"\nbacklog_timeout = "1s"\nstart = 1\n'
        daemon.install("odd", PLUGIN.format(calls=str(daemon.calls)))
        daemon.write_config()
        assert daemon.drain() == 0
        assert daemon.events_of("odd") == ids
        state = open_state(tmp_path / "state").reader()
        try:
            assert [entry.event_id for entry in state.read(0, 1000)] == ids
            assert {one.event for one in state.set_aside_events()} == {str(2**63), "null"}
            assert len(state.dead_letters()) == len(ids) // 2
        finally:
            state.close()
        with installed_here(daemon) as sgevents:
            for id_ in ids:
                assert sgevents("explain", id_).code == 0
                assert sgevents("explain", id_, "--json").json["event_id"] == id_
            for words in (("tail", "-n100"), ("tail", "-n100", "--json"), ("status",)):
                said = sgevents(*words)
                assert said.code == 0, said.text[-2000:]
                assert "\x1b" not in said.text
                assert "\x00" not in said.text
            assert sgevents("dead-letters", "list").code == 0
            assert "2 events are set aside" in sgevents("status").text
            assert "event null is set aside" in sgevents("check").text
            said = sgevents("replay", "10-33", "--plugin", "odd")
            assert "Traceback" not in said.text

"""The record behind an event: read once for all callbacks that ask for a part of it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from sgevents_core import Defer, Retry, hookimpl
from sgevents_core.sandbox import Sandbox
from sgevents_core.testing import EventBuilder, Harness

Act = Callable[[Any, Any], object]


def _plugin(*acts: Act, hook: str = "on_new") -> Any:
    """Return a plugin that calls each act for the events of a hook."""

    def implementation(act: Act) -> Any:
        def call(event: Any, ctx: Any) -> None:
            act(event, ctx)

        return hookimpl(specname=hook)(call)

    return SimpleNamespace(**{f"on_{n}": implementation(act) for n, act in enumerate(acts)})


def _reads(site: Sandbox) -> int:
    return site.counts.calls("read", "Shot")


def _new_shot(site: Sandbox) -> dict[str, Any]:
    values = {"code": "sh010", "sg_status_list": "ip", "project": {"type": "Project", "id": 1}}
    created: dict[str, Any] = site.create("Shot", values)
    return created


def test_callbacks_share_one_read(sgevents_site: Sandbox) -> None:
    """The second asks for a part of what the first has read; each gets a dict of its own."""
    got: list[Any] = []

    def first(event: Any, ctx: Any) -> None:
        record = ctx.entity("code", "sg_status_list", "project.Project.name")
        got.append(dict(record))
        record["code"] = "spoilt"

    def second(event: Any, ctx: Any) -> None:
        got.append(ctx.entity("code"))
        got.append(ctx.entity())

    with Harness(_plugin(first, second), "reader", site=sgevents_site) as harness:
        shot = _new_shot(sgevents_site)
        before = _reads(sgevents_site)
        harness.catch_up().raise_errors()
        assert _reads(sgevents_site) == before + 1
    assert got == [
        {
            "type": "Shot",
            "id": shot["id"],
            "code": "sh010",
            "sg_status_list": "ip",
            "project.Project.name": got[0]["project.Project.name"],
        },
        {"type": "Shot", "id": shot["id"], "code": "sh010"},
        {"type": "Shot", "id": shot["id"]},
    ]
    assert got[0]["project.Project.name"]


def test_more_fields_are_one_more_read(sgevents_site: Sandbox) -> None:
    """And what was known stays known."""

    def first(event: Any, ctx: Any) -> None:
        ctx.entity("code")
        ctx.entity("sg_status_list")
        ctx.entity("code", "sg_status_list")

    with Harness(_plugin(first), "reader", site=sgevents_site) as harness:
        _new_shot(sgevents_site)
        before = _reads(sgevents_site)
        harness.catch_up().raise_errors()
        assert _reads(sgevents_site) == before + 2


def test_write_lets_it_be_read_again(sgevents_site: Sandbox) -> None:
    """Whoever of them writes through `ctx.sg`, the next one sees it."""
    got: list[str] = []

    def first(event: Any, ctx: Any) -> None:
        got.append(ctx.entity("code")["code"])
        ctx.sg.update("Shot", event.entity_id, {"code": "sh020"})

    def second(event: Any, ctx: Any) -> None:
        got.append(ctx.entity("code")["code"])

    with Harness(site=sgevents_site) as harness:
        harness.enable(_plugin(first), "a")
        harness.enable(_plugin(second), "b")
        _new_shot(sgevents_site)
        harness.catch_up().raise_errors()
    assert got == ["sh010", "sh020"]


@pytest.mark.parametrize(("script_name", "reads"), [(None, 1), ("rollup", 2)])
def test_plugins_with_scripts_of_their_own_read_for_themselves(
    sgevents_site: Sandbox, script_name: str | None, reads: int
) -> None:
    """What a script may see is its own matter; plugins that share one share the read."""

    def asks(event: Any, ctx: Any) -> None:
        ctx.entity("code")

    sgevents_site.add_script("rollup", "demo-key-of-rollup")
    script: dict[str, Any] = {}
    if script_name is not None:
        script = {"script_name": script_name, "api_key": "demo-key-of-rollup"}
    with Harness(site=sgevents_site) as harness:
        harness.enable(_plugin(asks), "a")
        harness.enable(_plugin(asks), "b", **script)
        _new_shot(sgevents_site)
        before = _reads(sgevents_site)
        harness.catch_up().raise_errors()
        assert _reads(sgevents_site) == before + reads


def test_retired_record_is_read_too(sgevents_site: Sandbox) -> None:
    """And one that never was is None."""
    got: list[Any] = []

    def reads(event: Any, ctx: Any) -> None:
        got.append(ctx.entity("code"))

    with Harness(_plugin(reads, hook="on_retirement"), "reader", site=sgevents_site) as harness:
        shot = _new_shot(sgevents_site)
        sgevents_site.delete("Shot", shot["id"])
        harness.catch_up().raise_errors()
        harness.run(EventBuilder().retirement({"type": "Shot", "id": 987_654, "name": "x"}))
    assert got == [{"type": "Shot", "id": shot["id"], "code": "sh010"}, None]


def test_event_about_nothing(sgevents_site: Sandbox) -> None:
    """A login is about no record: None, and no call."""
    got: list[Any] = []

    def reads(event: Any, ctx: Any) -> None:
        got.append(ctx.entity("code"))

    with Harness(_plugin(reads, hook="on_other"), "reader", site=sgevents_site) as harness:
        harness.run({"id": 5, "event_type": "Studio_Ping", "entity": None, "meta": {}})
    assert got == [None]


@pytest.mark.parametrize("error", [Retry(after=0), Defer(after=5)])
def test_next_attempt_reads_again(error: Exception) -> None:
    """What made it wait may have changed the record."""
    got: list[str] = []

    def reads(event: Any, ctx: Any) -> None:
        got.append(ctx.entity("code")["code"])
        if len(got) == 1:
            ctx.sg._records["Shot", 7]["code"] = "sh020"  # somebody else has written
            raise error

    records = [{"type": "Shot", "id": 7, "code": "sh010"}]
    with Harness(_plugin(reads), "reader", records=records) as harness:
        harness.run(EventBuilder().new({"type": "Shot", "id": 7, "name": "x"}))
        harness.pass_time(6)
    assert got == ["sh010", "sh020"]


def test_recorder_answers_it_too() -> None:
    """From the records that a test gives, and after a write of the plugin's too."""
    got: list[Any] = []

    def reads(event: Any, ctx: Any) -> None:
        got.append(ctx.entity("code", "sg_sequence.Sequence.code"))
        ctx.sg.update("Shot", 7, {"code": "sh020"})
        got.append(ctx.entity("code"))

    records = [
        {"type": "Shot", "id": 7, "code": "sh010", "sg_sequence": {"type": "Sequence", "id": 3}},
        {"type": "Sequence", "id": 3, "code": "sq01"},
    ]
    with Harness(_plugin(reads), "reader", records=records) as harness:
        harness.run(EventBuilder().new({"type": "Shot", "id": 7, "name": "x"})).raise_errors()
    assert got == [
        {"type": "Shot", "id": 7, "code": "sh010", "sg_sequence.Sequence.code": "sq01"},
        {"type": "Shot", "id": 7, "code": "sh020"},
    ]


def test_address_of_a_record(sgevents_site: Sandbox) -> None:
    """The page of the record on the site; of nothing, an empty text."""
    got: list[str] = []

    def says(event: Any, ctx: Any) -> None:
        got.extend([ctx.url(event.entity), ctx.url(None), ctx.url({"type": "Shot"})])

    with Harness(_plugin(says), "reader", site=sgevents_site) as harness:
        shot = _new_shot(sgevents_site)
        harness.catch_up().raise_errors()
    assert got == [f"{sgevents_site.url.rstrip('/')}/detail/Shot/{shot['id']}", "", ""]

"""Uses of what plugin authors import: typed expressions, right uses and wrong ones."""

from __future__ import annotations

IMPORTS = """\
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from logging import Logger
from typing import Any, assert_type

from sgevents_core import (
    Attention, BacklogTimeout, CallbackFailure, Context, DeadLetter, Defer, Event, Link, Meta,
    PluginPause, Registrar, Retry, Secret, SgEventsError, SiteClient, hookimpl, match,
)
from sgevents_core.testing import EventBuilder, Harness, MakeHarness, Recorder, load_events


@dataclass
class ChatSettings:
    channel: str
    token: Secret


def plain(event: Event) -> None: ...
def whole(event: Event, ctx: Context) -> None: ...
"""
GIVEN = (
    "event: Event, ctx: Context, registrar: Registrar, failure: CallbackFailure,"
    " letter: DeadLetter, pause: PluginPause, ids: BacklogTimeout, attention: Attention,"
    " builder: EventBuilder, make: MakeHarness, harness: Harness, typed: Context[ChatSettings],"
    " typed_registrar: Registrar[ChatSettings]"
)
"""What is at hand in every sample: the objects that plugins and their tests are given."""

TYPES = {
    'event["meta"]': "dict[str, Any]",
    'event["id"]': "int",
    'event["event_type"]': "str",
    'event["entity"]': "Link | None",
    'event["created_at"]': "datetime | None",
    'event["sg_studio"]': "Any",
    "event.entity": "Link | None",
    "event.user": "Link | None",
    'event.get("project")': "Any | None",
    "event.id": "int",
    "event.event_type": "str",
    "event.entity_type": "str | None",
    "event.entity_id": "int | None",
    "event.meta": "Meta",
    "event.created_at": "datetime | None",
    "event.added": "list[Any]",
    "event.in_create": "bool",
    "[key for key in event]": "list[str]",
    "ctx.settings": "Any",
    "ctx.sg": "SiteClient",
    'ctx.sg.find("Shot", [])': "list[dict[str, Any]]",
    'ctx.sg.find_one("Shot", [["id", "is", 7]], ["code"])': "dict[str, Any] | None",
    'ctx.entity("code")': "dict[str, Any] | None",
    "ctx.url(event.entity)": "str",
    "typed.settings": "ChatSettings",
    "typed.settings.token.reveal()": "str",
    "ctx.store": "MutableMapping[str, Any]",
    "ctx.logger": "Logger",
    "ctx.attempt": "int",
    "ctx.key": "str",
    "ctx.plugin": "str",
    "ctx.dry_run": "bool",
    "ctx.stopping": "bool",
    "ctx.heartbeat()": "None",
    "registrar.settings": "Any",
    "typed_registrar.settings": "ChatSettings",
    "registrar.plugin": "str",
    "registrar.register(plain)": "str",
    "failure.event": "Event",
    "failure.next_attempt_at": "datetime | None",
    "letter.number": "int",
    "pause.event_id": "int | None",
    "ids.noticed_at": "datetime",
    "attention.over": "bool",
    'Secret("x").reveal()': "str",
}
"""Expression -> its type."""

ACCEPTED = {
    "settings that are given a type": """
        settings: ChatSettings = ctx.settings
        token: str = settings.token.reveal()
    """,
    "settings of a type of the plugin's own": """
        @hookimpl
        def on_new(event: Event, ctx: Context[ChatSettings]) -> None:
            channel: str = ctx.settings.channel
        on_new(event, typed)
        whole(event, typed)
    """,
    "what a callback does with the event": """
        with ctx.once("channel-1") as first:
            told: bool = first
        ctx.ignore("no route")
        record = ctx.entity("code", "entity.Shot.code")
        if record is None:
            raise Defer("no media yet", after="10m")
        if ctx.attempt > 3:
            raise Retry("not there yet", after=timedelta(seconds=5))
        ctx.sg.update("Shot", record["id"], {"sg_status_list": "fin"})
        author: str = event.user["name"] if event.user else "the site"
        changed: bool = event.meta.get("in_create", False)
        address: str = ctx.url({"type": "Shot", "id": 7})
    """,
    "callbacks that settings narrow": """
        @hookimpl
        def register_callbacks(registrar: Registrar[ChatSettings]) -> None:
            channel: str = registrar.settings.channel
            registrar.register(plain, attribute=channel, timeout=timedelta(seconds=5))
            registrar.register(whole, batch=timedelta(seconds=2), at_most=timedelta(minutes=1))
    """,
    "errors that pass": """
        @match(retry_on=(OSError, KeyError), max_attempts=3)
        def one(event: Event) -> None: ...
        @match(retry_on=OSError)
        def two(event: Event) -> None: ...
        @hookimpl
        def failure_passes(error: BaseException, ctx: Context) -> bool | None: return None
    """,
    "every condition of match": """
        @hookimpl(specname="on_change")
        @match(
            event_type=["Shotgun_Task_*"], entity_type={"Task"}, attribute=("sg_status_list",),
            project=65, user="ada", script="rollup", in_create=False, old_value=None,
            new_value=["fin", "apr"], where=lambda event: event.is_transient,
            on_error="skip", timeout="30s",
        )
        def approved(event: Event, ctx: Context) -> None: ...
    """,
    "match by an entity of the API": """
        @match(project={"type": "Project", "id": 65}, user=[7, "ada"], timeout=2.5)
        def of_project(event: Event) -> None: ...
    """,
    "match on top": """
        @match(entity_type="Shot")
        @hookimpl
        def on_new(event: Event, ctx: Context) -> str: return event.event_type
        name: str = on_new(event, ctx)
    """,
    "functions that are marked, called as before": """
        hookimpl(whole)(event=event, ctx=ctx)
        hookimpl(specname="on_new")(whole)(event=event, ctx=ctx)
        match(entity_type="Task")(whole)(event=event, ctx=ctx)
    """,
    "hooks of every kind": """
        @hookimpl
        def startup(ctx: Context) -> None: ...
        @hookimpl
        def settings_model() -> type[ChatSettings]: return ChatSettings
        @hookimpl
        def register_callbacks(registrar: Registrar) -> None: ...
        @hookimpl
        def callback_failed(details: CallbackFailure, ctx: Context) -> None: ...
    """,
    "hooks of an instance": """
        class Plugin:
            @hookimpl
            @match(entity_type="Shot")
            def on_new(self, event: Event, ctx: Context) -> None: ...
        Plugin().on_new(event, ctx)
    """,
    "callbacks of every kind": """
        class Callable_:
            def __call__(self, event: Event, ctx: Context, args: object) -> None: ...
        registrar.register(plain, entity_type="Shot", args={"a": 1}, name="shots", timeout="5s")
        registrar.register(whole, where=lambda event: event.id > 7, on_error="pause")
        registrar.register(Callable_(), old_value=..., args=None)
    """,
    "batches, async or not": """
        @hookimpl
        @match(entity_type="Shot", batch="2s", by="entity", at_most=30, size=50)
        def on_new(events: list[Event], ctx: Context) -> None: ...
        @hookimpl(specname="on_change")
        @match(batch=2.5, by=lambda event: event.project_id)
        async def changed(events: list[Event]) -> None: ...
        registrar.register(on_new, batch="1m", by="project", name="again")
        numbers: list[int] = [one.id for one in letter.events]
    """,
    "an event where a mapping is wanted": """
        row: Mapping[str, Any] = event
    """,
    "a store that is assigned to": """
        ctx.store["seen"] = [*ctx.store.get("seen", []), event.id]
    """,
    "what a callback raises": """
        try:
            raise Retry("busy", after="5s")
        except (Retry, SgEventsError):
            raise Retry(after=2.5)
    """,
}
"""What authors write that mypy has nothing against."""

REFUSED = {
    "a name that there is not": ("import sgevents_core; sgevents_core.Evnt", "attr-defined"),
    "an import that there is not": ("from sgevents_core import Contxt", "attr-defined"),
    "a testing name that there is not": (
        "from sgevents_core.testing import Harnes",
        "attr-defined",
    ),
    "an attribute of no event": ("event.entty_type", "attr-defined"),
    "a key that is no text": ("event[7]", "call-overload"),
    "an event that is changed": ('event["meta"] = {}', "index"),
    "an attribute of an event that is set": ("event.id = 7", "misc"),
    "no None where one may be": ("event.entity_type.lower()", "union-attr"),
    "an attribute of no context": ("ctx.setings", "attr-defined"),
    "a context that is changed": ("ctx.store = {}", "misc"),
    "settings that are replaced": ("ctx.settings = {}", "misc"),
    "a store by number": ('ctx.store[7] = "x"', "index"),
    "details that are changed": ('failure.error = "x"', "misc"),
    "details without a field": ('PluginPause(plugin="a", reason="b")', "call-arg"),
    "a kind of attention that is none": (
        'Attention(kind="bored", summary="", fix="", plugin="", over=False)',
        "arg-type",
    ),
    "a condition that there is not": ('match(entity_typ="Shot")', "arg-type"),
    "a condition by position": ('match("Shot")', "arg-type"),
    "match without parentheses": ("match(whole)", "arg-type"),
    "a type of record by number": ("match(entity_type=7)", "arg-type"),
    "a project that is a float": ("match(project=6.5)", "arg-type"),
    "a flag that is a text": ('match(in_create="yes")', "arg-type"),
    "a condition that is no function": ("match(where=True)", "arg-type"),
    "a condition in code of something else": (
        "match(where=lambda event: event.nothing)",
        "attr-defined",
    ),
    "a timeout that is a list": ("match(timeout=[3])", "arg-type"),
    "a policy that is not one": ('match(on_error="skipp")', "arg-type"),
    "a callback's policy that is not one": (
        'registrar.register(plain, on_error="ignore")',
        "arg-type",
    ),
    "a key of batches that is none": ('match(batch="2s", by="shot")', "arg-type"),
    "a pause that is a list": ("match(batch=[2])", "arg-type"),
    "a size that is a text": ('match(batch=2, size="many")', "arg-type"),
    "errors that are none": ("match(retry_on=7)", "arg-type"),
    "a number of calls that is a text": ('match(max_attempts="3")', "arg-type"),
    "a setting that there is not": ("typed.settings.chanel", "attr-defined"),
    "a method of the site that there is not": ('ctx.sg.fnd("Shot", [])', "attr-defined"),
    "an argument of find that there is not": ('ctx.sg.find("Shot", [], field=[])', "call-arg"),
    "a record that may be none": ('ctx.sg.find_one("Shot", [])["id"]', "index"),
    "a key of a link that there is not": (
        'assert event.entity\nevent.entity["nme"]',
        "typeddict-item",
    ),
    "match on what is no function": ('match(entity_type="Shot")(7)', "type-var"),
    "a function with match called wrongly": ('match(entity_type="Shot")(whole)(event)', "call-arg"),
    "a function with hookimpl called wrongly": ("hookimpl(whole)(event)", "call-arg"),
    "hookimpl of an option that there is not": ("hookimpl(spec='on_new')", "call-overload"),
    "a callback that cannot be called": ("registrar.register(7)", "arg-type"),
    "a callback with a condition that there is not": (
        'registrar.register(plain, entity="Shot")',
        "arg-type",
    ),
    "a callback with a name that is no text": ("registrar.register(plain, name=7)", "arg-type"),
    "a wait that is a list": ("Retry(after=[5])", "arg-type"),
    "a wait by position": ('Retry("busy", 5)', "call-arg"),
    "a secret taken for its text": ('text: str = Secret("x")', "assignment"),
}
"""What is wrong -> how it is written, and the kind of error that mypy reports."""

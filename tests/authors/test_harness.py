"""The harness: plugins run on events as the daemon runs them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from installed_packages import Packages

from sgevents_core import Event, Retry, Secret, hookimpl, match
from sgevents_core.errors import AlreadyHandedError, NotAnsweredError, PluginError
from sgevents_core.sandbox import Sandbox
from sgevents_core.testing import EventBuilder, Harness, MakeHarness, Result

PROJECT = {"type": "Project", "id": 1}


@dataclass
class Calls:
    """A plugin whose callback runs the function of a test."""

    act: Callable[[Event, Any], object] = lambda _event, _ctx: None

    @hookimpl
    def on_new(self, event: Event, ctx: Any) -> None:
        """Run the function of the test."""
        self.act(event, ctx)


def failing(*errors: BaseException) -> Callable[[Event, Any], object]:
    """Return a function that raises these errors one after another, then returns."""
    left = list(errors)

    def act(event: Event, ctx: Any) -> None:
        if left:
            raise left.pop(0)

    return act


class TestCalls:
    """Which callbacks are called, and in which order."""

    def test_order_filters_and_names(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """By position in the plugin; filters apply; `register_callbacks` comes last."""

        class Plugin:
            @hookimpl
            def register_callbacks(self, registrar: Any) -> None:
                registrar.register(self.last, event_type="Shotgun_Task_*", name="the last")

            def last(self, event: Event) -> None:
                pass

            @hookimpl
            @match(entity_type="Task", attribute="sg_status_list", new_value="fin")
            def on_change(self, event: Event) -> None:
                pass

            @hookimpl
            def on_event(self, event: Event) -> None:
                pass

        harness = sgevents_harness(Plugin())
        result = harness.run(
            sgevents_event.change("Task", "sg_status_list", "ip", "fin"),
            sgevents_event.change("Task", "sg_status_list", "fin", "ip"),
            sgevents_event.new("Shot"),
        )
        names = [call.callback.rpartition(".")[2] for call in result.calls]
        assert names == ["on_change", "on_event", "the last", "on_event", "the last", "on_event"]
        assert [call.event.id for call in result.calls] == [1, 1, 1, 2, 2, 3]

    def test_several_plugins_in_groups(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """By group in the given order, then by name."""
        harness = sgevents_harness(groups=["first"])
        harness.enable(Calls(), "a")
        harness.enable(Calls(), "c", group="first")
        harness.enable(Calls(), "b")
        result = harness.run(sgevents_event.new("Shot"), sgevents_event.new("Shot"))
        assert [call.plugin for call in result.calls] == ["c", "a", "b", "c", "a", "b"]
        assert set(result.stores) == {"a", "b", "c"}

    def test_events_as_rows_lists_and_out_of_order(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """Events come in the given order, a late one too, and as the daemon reads them."""
        harness = sgevents_harness(Calls())
        row = sgevents_event.new("Shot", id=8).row
        result = harness.run(row, [sgevents_event.new("Shot", id=3)], id9 := event_of(row, 9))
        assert [call.event.id for call in result.calls] == [8, 3, 9]
        assert result.calls[0].event == Event(row)
        assert result.calls[2].event.created_at == id9.created_at

    def test_rows_as_a_client_returns_them(self, sgevents_harness: MakeHarness) -> None:
        """Datetimes are sent and read as with a site; lone surrogates stay as they are."""
        at = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
        row = {"id": 4, "event_type": "Shotgun_Shot_New", "created_at": at, "updated_at": at}
        (call,) = sgevents_harness(Calls()).run({**row, "description": "\ud800"}).calls
        assert call.event.created_at == at
        assert call.event["updated_at"] == at
        assert call.event.row["updated_at"] == "2026-01-31T12:00:00Z"
        assert call.event["description"] == "\ud800"

    def test_explain_says_why_not(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """`explain` returns for each callback whether it is called."""
        harness = sgevents_harness(Calls())
        (no,) = harness.explain(sgevents_event.login())
        assert not no.matched
        assert "it is for on_new" in no.why_not
        assert harness.explain(sgevents_event.new("Shot"))[0].matched

    def test_an_event_is_handed_once_and_replayed_with_the_same_key(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """An id is handed over once; a replay calls again, with the same key."""
        harness = sgevents_harness(Calls())
        event = sgevents_event.new("Shot")
        (first,) = harness.run(event).calls
        with pytest.raises(AlreadyHandedError, match=r"harness\.replay\(event\)"):
            harness.run(event)
        with pytest.raises(AlreadyHandedError):
            harness.run(twice := sgevents_event.new("Shot"), twice)
        (again,) = harness.replay(event).calls
        assert first.key == again.key
        assert first.key.endswith(f":1:1:Calls:{__name__}:Calls.on_new")


class TestFailures:
    """What the failure policy decides about exceptions."""

    def test_dead_letter_by_default(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """The exception itself is in the result; the next event is handled."""
        error = ValueError("no such shot")
        harness = sgevents_harness(Calls(failing(error)))
        result = harness.run(sgevents_event.new("Shot"), sgevents_event.new("Shot"))
        assert [call.outcome for call in result.calls] == ["dead-letter", "returned"]
        (letter,) = result.dead_letters
        assert (letter.error, letter.reason) == (error, "ValueError: no such shot")
        assert "dead-letter: ValueError: no such shot" in str(result)
        with pytest.raises(ValueError, match="no such shot"):
            result.raise_errors()

    def test_retry_is_made_at_once_and_the_wait_reported(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """A test does not wait; the result has how long the daemon would."""
        plugin = Calls(failing(Retry("not yet", after="1h"), ConnectionError("gone")))
        result = sgevents_harness(plugin).run(sgevents_event.new("Shot"))
        assert [(c.outcome, c.attempt) for c in result.calls] == [
            ("retry", 1),
            ("retry", 2),
            ("returned", 3),
        ]
        assert result.calls[0].wait == 3600
        assert result.calls[2].wait is None
        assert result.state == "active"
        assert len({call.key for call in result.calls}) == 1

    def test_retry_can_be_left_to_the_next_run(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """While a plugin is held, its events wait, and come afterwards."""
        harness = sgevents_harness(Calls(failing(Retry("not yet", after="1h"))))
        held = harness.run(sgevents_event.new("Shot"), sgevents_event.new("Asset"), retry=False)
        assert (held.state, held.called) == ("held", ["Calls.on_new"])
        rest = harness.run()
        assert [call.event.entity_type for call in rest.calls] == ["Shot", "Asset"]
        assert rest.state == "active"

    def test_attempts_end(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """After `max_attempts`, the event is a dead letter."""
        plugin = Calls(failing(*[Retry("not yet")] * 9))
        result = sgevents_harness(plugin, max_attempts=3).run(sgevents_event.new("Shot"))
        assert [call.outcome for call in result.calls] == ["retry", "retry", "dead-letter"]

    @pytest.mark.parametrize(("on_error", "state"), [("skip", "active"), ("pause", "paused")])
    def test_on_error(
        self,
        on_error: str,
        state: str,
        sgevents_harness: MakeHarness,
        sgevents_event: EventBuilder,
    ) -> None:
        """The plugin accepts the keys of its table in a configuration."""
        harness = sgevents_harness(Calls(failing(KeyError("x"))), on_error=on_error)
        result = harness.run(sgevents_event.new("Shot"), sgevents_event.new("Shot"))
        assert result.calls[0].outcome == on_error
        assert result.state == state
        assert len(result.calls) == (2 if on_error == "skip" else 1)

    def test_filter_that_raises_is_a_failed_call(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """A filter that raises fails its callback, though the callback was never entered."""

        class Plugin:
            @hookimpl
            @match(where=lambda event: event["meta"]["no such thing"])
            def on_new(self, event: Event) -> None:
                raise AssertionError

        result = sgevents_harness(Plugin()).run(sgevents_event.new("Shot"))
        (call,) = result.failed
        assert call.reason.startswith("KeyError")
        with pytest.raises(AssertionError, match="KeyError"):
            result.raise_errors()

    def test_exit_of_a_plugin_is_a_failure(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """An exit of a plugin is a failure, as in the daemon."""
        result = sgevents_harness(Calls(failing(SystemExit(3)))).run(sgevents_event.new("Shot"))
        assert result.dead_letters[0].reason == "SystemExit: 3"

    @pytest.mark.parametrize("stop", [KeyboardInterrupt(), pytest.fail.Exception("too slow")])
    def test_exceptions_that_end_a_test_end_it(
        self,
        stop: BaseException,
        sgevents_harness: MakeHarness,
        sgevents_event: EventBuilder,
    ) -> None:
        """Ctrl-C and pytest's own exceptions are not failures of the plugin."""
        harness = sgevents_harness(Calls(failing(stop)))
        with pytest.raises(type(stop)):
            harness.run(sgevents_event.new("Shot"))

    def test_alerting_hooks_are_called(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """Alerting hooks are called with their details before the run ends."""

        class Alerts:
            @hookimpl
            def dead_lettered(self, details: Any, ctx: Any) -> None:
                ctx.logger.warning("%s: %s", details.plugin, details.error)
                ctx.sg.create("Ticket", {"title": details.error})

        harness = sgevents_harness(Alerts())
        harness.enable(Calls(failing(ValueError("no"))))
        result = harness.run(sgevents_event.new("Shot"))
        (hook,) = result.hooks
        assert (hook.plugin, hook.hook, hook.error) == ("Alerts", "dead_lettered", None)
        assert isinstance(hook.details.event, Event)  # type: ignore[attr-defined]  # a DeadLetter
        assert result.messages == ["Calls: ValueError: no"]
        assert [write.data for write in result.writes] == [{"title": "ValueError: no"}]


def event_of(row: Any, event_id: int) -> Event:
    """Return the same event with another id."""
    return Event({**row, "id": event_id})


class TestContext:
    """The `ctx` of a callback."""

    def test_store_is_committed_or_dropped(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """Changes of a call that raises are discarded."""

        def act(event: Event, ctx: Any) -> None:
            ctx.store["seen"] = [*ctx.store["seen"], event.id]
            if event.id == 2:
                raise ValueError("no")

        harness = sgevents_harness(Calls(act), store={"seen": [0]})
        result = harness.run(*(sgevents_event.new("Shot") for _ in range(3)))
        assert result.store == {"seen": [0, 1, 3]}
        assert harness.run(sgevents_event.new("Shot")).store == {"seen": [0, 1, 3, 4]}

    def test_settings_logger_and_dry_run(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """Settings are the given ones; all levels are logged; the logger's level is restored."""

        def act(event: Event, ctx: Any) -> None:
            ctx.logger.debug("%s %s %s", ctx.settings["channel"], ctx.dry_run, ctx.plugin)

        level = logging.getLogger("sgevents.plugin").level
        harness = sgevents_harness(Calls(act), "chat", settings={"channel": "#a"}, dry_run=True)
        result = harness.run(sgevents_event.new("Shot"))
        assert result.messages == ["#a True chat"]
        assert result.log[0].levelname == "DEBUG"
        assert logging.getLogger("sgevents.plugin").level == level

    def test_stopping_and_heartbeat(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """A test can let a stop wait for a call, which may report that it is alive."""

        def act(event: Event, ctx: Any) -> None:
            ctx.heartbeat()
            ctx.logger.info("%s", ctx.stopping)

        for stopping in (False, True):
            harness = sgevents_harness(Calls(act), "chat", stopping=stopping)
            assert harness.run(sgevents_event.new("Shot")).messages == [str(stopping)]

    def test_settings_model_is_held_to(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """Settings are an instance of the model; a wrong table is refused as by the daemon."""

        @dataclass
        class Model:
            token: Secret
            channel: str = "#dailies"

        class Plugin(Calls):
            @hookimpl
            def settings_model(self) -> type:
                return Model

        def act(event: Event, ctx: Any) -> None:
            ctx.logger.info("%s %s", ctx.settings.channel, ctx.settings.token)

        table = {"token": Secret("demo-key")}
        result = sgevents_harness(Plugin(act), settings=table).run(sgevents_event.new("Shot"))
        assert result.messages == ["#dailies ***"]
        with pytest.raises(PluginError, match="channel"):
            sgevents_harness(Plugin(), settings={**table, "channel": 4}).run()

    def test_startup_and_shutdown(self, sgevents_event: EventBuilder) -> None:
        """`startup` is called before the first event, `shutdown` at the close, once each."""
        hook_calls: list[str] = []

        class Plugin(Calls):
            @hookimpl
            def startup(self, ctx: Any) -> None:
                ctx.store["started"] = True

            @hookimpl
            def shutdown(self, ctx: Any) -> None:
                hook_calls.append(f"down {ctx.store['started']}")

        with Harness(Plugin()) as harness:
            first = harness.run(sgevents_event.new("Shot"))
            assert [hook.hook for hook in first.hooks] == ["startup"]
            assert harness.run(sgevents_event.new("Shot")).hooks == []
            assert hook_calls == []
        assert hook_calls == ["down True"]
        assert harness.close() == Result()

    def test_startup_that_raises_keeps_events_away(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """A `startup` that raises stops the plugin, as in the daemon; the result has the error."""

        class Plugin(Calls):
            @hookimpl
            def startup(self, ctx: Any) -> None:
                raise OSError("no disk")

        result = sgevents_harness(Plugin()).run(sgevents_event.new("Shot"))
        assert result.called == []
        with pytest.raises(OSError, match="no disk"):
            result.raise_errors()


class TestSite:
    """`ctx.sg`: a real client of a sandbox, or a recorder."""

    def test_client_of_a_sandbox(
        self, sgevents_harness: MakeHarness, sgevents_site: Sandbox
    ) -> None:
        """Events of the site are handed over; writes are made and recorded, with their session."""

        def act(event: Event, ctx: Any) -> None:
            if event.entity_type != "Version":
                return
            ctx.sg.update("Version", event.entity_id, {"sg_status_list": "apr"})
            note = ctx.sg.create("Note", {"subject": "hi", "project": PROJECT})
            ctx.sg.delete("Note", note["id"])
            ctx.sg.revive("Note", note["id"])
            request = {"request_type": "delete", "entity_type": "Note", "entity_id": note["id"]}
            create = {"request_type": "create", "entity_type": "Note", "data": {"project": PROJECT}}
            ctx.sg.batch([request, create])

        harness = sgevents_harness(Calls(act), site=sgevents_site)
        version = sgevents_site.create("Version", {"code": "fox"}, user="ada")
        result = harness.catch_up().raise_errors()
        assert result.called == ["Calls.on_new"]
        assert [write.method for write in result.writes] == [
            "update",
            "create",
            "delete",
            "revive",
            "delete",
            "create",
        ]
        assert result.writes[0] == ("update", "Version", version["id"], {"sg_status_list": "apr"})
        (version_found,) = sgevents_site.find(
            "Version", [["id", "is", version["id"]]], ["sg_status_list"]
        )
        assert version_found["sg_status_list"] == "apr"
        # What the plugin did is what it is handed next, and it is not handed anything twice.
        assert {call.event.entity_type for call in harness.catch_up().calls} == {"Note"}
        assert harness.catch_up().calls == []

    def test_upload(
        self, sgevents_harness: MakeHarness, sgevents_site: Sandbox, tmp_path: Path
    ) -> None:
        """A thumbnail is one write."""
        picture = tmp_path / "fox.jpg"
        picture.write_bytes(b"no picture")

        def act(event: Event, ctx: Any) -> None:
            ctx.sg.upload_thumbnail("Shot", 1, str(picture))

        harness = sgevents_harness(Calls(act), site=sgevents_site)
        sgevents_site.create("Asset", {"code": "fox"})
        (write,) = harness.catch_up().raise_errors().writes
        data = {"path": str(picture), "field_name": "thumb_image"}
        assert write == ("upload", "Shot", 1, data)

    def test_dry_run_on_a_site_changes_nothing(
        self, sgevents_harness: MakeHarness, sgevents_site: Sandbox
    ) -> None:
        """A dry run reads, and only records writes, even if a plugin does not check."""

        def act(event: Event, ctx: Any) -> None:
            shot = ctx.sg.find_one("Shot", [["id", "is", event.entity_id]], ["code"])
            note = ctx.sg.create("Note", {"subject": shot["code"]})
            ctx.sg.batch([{"request_type": "delete", "entity_type": "Shot", "entity_id": 1}])
            ctx.sg.update("Note", note["id"], {"content": "hi"})

        harness = sgevents_harness(Calls(act), site=sgevents_site, dry_run=True)
        sgevents_site.create("Shot", {"code": "sh999"})
        before = sgevents_site.log.highest_id
        result = harness.catch_up().raise_errors()
        assert [write.method for write in result.writes] == ["create", "delete", "update"]
        assert result.writes[0].data == {"subject": "sh999"}
        assert sgevents_site.log.highest_id == before

    def test_outage_is_met_as_the_daemon_meets_it(
        self, sgevents_harness: MakeHarness, sgevents_site: Sandbox
    ) -> None:
        """A fault of the site is retried: the call is made again."""

        def act(event: Event, ctx: Any) -> None:
            ctx.sg.update("Version", event.entity_id, {"description": "seen"})

        harness = sgevents_harness(Calls(act), site=sgevents_site)
        sgevents_site.create("Version", {"code": "fox"})
        sgevents_site.faults.add("status", status=500, calls=1, method="update")
        result = harness.catch_up()
        assert [call.outcome for call in result.calls] == ["retry", "returned"]
        assert len(result.writes) == 1

    def test_own_script_and_its_events(
        self, sgevents_harness: MakeHarness, sgevents_site: Sandbox
    ) -> None:
        """The site sees the plugin's own script, and `ignore_own` keeps its events away."""

        def act(event: Event, ctx: Any) -> None:
            ctx.sg.create("Note", {"subject": "hi", "project": PROJECT})

        sgevents_site.add_script("rollup", "rollup-key")
        script: dict[str, Any] = {
            "script_name": "rollup",
            "api_key": "rollup-key",
            "ignore_own": True,
        }
        harness = sgevents_harness(Calls(act), site=sgevents_site, **script)
        sgevents_site.create("Version", {"code": "fox"})
        assert len(harness.catch_up().raise_errors().calls) == 1
        assert harness.catch_up().calls == []
        rows = sgevents_site.event_rows()
        assert rows[-1]["user"]["name"] == "rollup 1.0"

    def test_recorder_without_a_site(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """Writes are recorded for each call; reads come from the given records."""

        def act(event: Event, ctx: Any) -> None:
            shot = ctx.sg.find_one("Shot", [["id", "is", event.entity_id]], ["code"])
            ctx.sg.update("Shot", shot["id"], {"description": shot["code"]})

        shots = [{"type": "Shot", "id": number, "code": f"sh{number}"} for number in (1, 2)]
        harness = sgevents_harness(Calls(act), records=shots)
        result = harness.run(*map(sgevents_event.new, shots)).raise_errors()
        assert [call.writes for call in result.calls] == [
            [("update", "Shot", 1, {"description": "sh1"})],
            [("update", "Shot", 2, {"description": "sh2"})],
        ]
        with pytest.raises(ValueError, match="no site"):
            harness.catch_up()

    def test_writes_of_a_plugins_own_thread(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """Writes of a plugin's own thread belong to the running call."""
        from concurrent.futures import ThreadPoolExecutor

        def act(event: Event, ctx: Any) -> None:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(ctx.sg.delete, "Shot", 4).result()

        (call,) = sgevents_harness(Calls(act)).run(sgevents_event.new("Shot")).calls
        assert call.writes == [("delete", "Shot", 4, {})]

    def test_unanswered_questions_name_the_sandbox(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """Without a site, other questions raise an error, since a wrong answer would be worse."""

        def act(event: Event, ctx: Any) -> None:
            ctx.sg.summarize("Shot", [], [])

        result = sgevents_harness(Calls(act)).run(sgevents_event.new("Shot"))
        with pytest.raises(NotAnsweredError, match=r"sg\.summarize.*site=site"):
            result.raise_errors()


class TestPlugins:
    """What can be passed as a plugin."""

    def test_module(self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder) -> None:
        """A module's plugin name is the last part of its name, unless another is given."""
        module = ModuleType("studio.rollup")
        exec("from sgevents_core import hookimpl\n@hookimpl\ndef on_new(): pass", vars(module))
        result = sgevents_harness(module).run(sgevents_event.new("Shot"))
        assert result.called == ["on_new"]
        assert result.calls[0].plugin == "rollup"
        other = sgevents_harness(module, "other").run(sgevents_event.new("Shot"))
        assert other.calls[0].plugin == "other"

    def test_installed_by_name_or_as_its_module(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        sgevents_harness: MakeHarness,
        sgevents_event: EventBuilder,
    ) -> None:
        """An installed plugin, by name or as its module, has the name of its entry point."""
        monkeypatch.syspath_prepend(str(tmp_path))
        text = "from sgevents_core import hookimpl\n@hookimpl\ndef on_new(): pass"
        packages = Packages(tmp_path)
        packages.install("studio-x", {"shot-x": "studio_x_plugin"}, {"studio_x_plugin.py": text})
        by_name = sgevents_harness("shot-x").run(sgevents_event.new("Shot"))
        by_module = sgevents_harness(sys.modules["studio_x_plugin"])
        result = by_module.run(sgevents_event.new("Shot"))
        assert by_name.calls[0].plugin == result.calls[0].plugin == "shot-x"
        del sys.modules["studio_x_plugin"]

    def test_name_that_is_not_installed(self, sgevents_harness: MakeHarness) -> None:
        """A plugin is refused as by the daemon."""
        with pytest.raises(PluginError, match="not installed"):
            sgevents_harness("no-such-plugin").run()

    def test_broken_plugins_are_refused_with_the_fix(self, sgevents_harness: MakeHarness) -> None:
        """The error has the daemon's reason, location and fix."""

        class Misspelled:
            @hookimpl
            def on_retirment(self, event: Event) -> None:
                pass

        with pytest.raises(PluginError, match="on_retirement"):
            sgevents_harness(Misspelled()).run()
        with pytest.raises(PluginError, match=r"plugin = .*Misspelled\(\)"):
            sgevents_harness(Misspelled).run()

    def test_wrong_tables_are_refused(self, sgevents_harness: MakeHarness) -> None:
        """An unknown key and an invalid policy are refused."""
        with pytest.raises(TypeError, match="max_attemps"):
            sgevents_harness(Calls(), max_attemps=3)
        with pytest.raises(ValueError, match="dead-letter"):
            sgevents_harness(Calls(), on_error="dead_letter")

    def test_plugins_start_together(
        self, sgevents_harness: MakeHarness, sgevents_event: EventBuilder
    ) -> None:
        """No plugin can be enabled after the first run."""
        harness = sgevents_harness(Calls())
        harness.run(sgevents_event.new("Shot"))
        with pytest.raises(RuntimeError, match="before the first run"):
            harness.enable(Calls(), "late")

    def test_store_of_several_plugins_has_no_single_one(self) -> None:
        """`store` and `state` are for a harness with one plugin."""
        result = Result(stores={"a": {}, "b": {}}, states={"a": "active", "b": "active"})
        with pytest.raises(ValueError, match="too many"):
            _ = result.store
        with pytest.raises(ValueError, match="too many"):
            _ = result.state

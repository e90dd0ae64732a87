"""The scripted day: what happens in the studio, and which events the plugins get."""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import Empty
from typing import Final

from sgevents_core.cli._demo_daemon import DemoCall, DemoDaemon
from sgevents_core.cli._demo_promises import Evidence, expected_plugins
from sgevents_core.cli._demo_screen import Screen, ScreenLine
from sgevents_core.cli._demo_studio import Studio

CALL_PATIENCE: Final = 60.0
"""Seconds to wait for the plugins' calls before the demo continues without them.

A busy machine takes long to start a daemon, and no promise is one of speed.
"""
BURST_SIZE: Final = 40
CALLS_BEFORE_KILL: Final = 12


class Day:
    """A scripted day in the studio, and the daemon's part in it.

    Args:
        studio: The studio in which it takes place.
        daemon: The daemon, not started yet.
        screen: The screen to print to.
        scene_pause: The pause between two scenes, in seconds, for the reader.
    """

    def __init__(
        self, studio: Studio, daemon: DemoDaemon, screen: Screen, scene_pause: float
    ) -> None:
        self.site = studio.site
        self.calls: list[DemoCall] = []
        self.late_ids: set[int] = set()
        self.missing_count = 0
        self.kill_count = 0
        self._studio = studio
        self._daemon = daemon
        self._screen = screen
        self._scene_pause = scene_pause
        self._first_event_id = self.site.log.next_id
        self._visible_since: dict[int, float] = {}
        self._lines_by_event: dict[int, ScreenLine] = {}
        self._unfinished_plugins: dict[int, set[str]] = {}
        self._pending_messages: list[tuple[str, str]] = []

    def play_scenes(self) -> None:
        """Play all scenes in order; stop at one in which a plugin misses events."""
        scenes = (
            self._play_morning,
            self._play_first_task,
            self._play_review,
            self._play_slow_import,
            self._play_failed_publish,
            self._play_unknown_status,
            self._play_outage,
            self._play_kill,
            self._play_evening,
        )
        for scene in scenes:
            scene()
            self._screen.print_pending_line()
            if self._unfinished_plugins:
                return
            self.follow_until(lambda: False, self._scene_pause)

    def evidence(self) -> Evidence:
        """Return the evidence so far."""
        event_rows = [self.site.log.row(event_id) for event_id in self._visible_ids()]
        return Evidence(event_rows, self.calls, self.late_ids, self.missing_count, self.kill_count)

    def follow_until(self, is_over: Callable[[], bool], seconds: float) -> bool:
        """Print what plugins get until `is_over`; return False after `seconds`."""
        deadline = time.monotonic() + seconds
        while not is_over():
            if time.monotonic() >= deadline:
                return False
            self._update_visible_events()
            try:
                news = self._daemon.plugin_news.get(timeout=0.02)
            except Empty:
                continue
            if isinstance(news, DemoCall):
                self._show_call(news)
            elif news.plugin != "event-log":
                self._pending_messages.append((news.plugin, news.text))
        return True

    def follow_daemon(self) -> None:
        """Print what plugins get for as long as the daemon runs."""
        while self._daemon.is_running:
            self._wait_for_all_calls()
            self._screen.print_pending_line()
            self.follow_until(lambda: bool(self._unfinished_plugins), 1.0)

    # The scenes

    def _play_morning(self) -> None:
        self._screen.print_scene("09:00", "The daemon starts, and Anna logs in.", (
            "The numbers show the order of the calls. Groups come in the order of the"
            " configuration, the plugins of a group by name."
        ))  # fmt: skip
        self._daemon.start()
        with self.site.transaction("anna") as transaction:
            transaction.event("Shotgun_User_Login")
        self._wait_for_all_calls()

    def _play_first_task(self) -> None:
        self._screen.print_scene("09:30", "Anna starts the animation of BUN_010.", (
            "shot-status writes to the site, which causes an event that plugins get in turn."
        ))  # fmt: skip
        self._studio.set_task("anna", "BUN_010", "animation", {"sg_status_list": "ip"})
        self._wait_for_all_calls()

    def _play_review(self) -> None:
        self._screen.print_scene("11:00", "Ben makes three versions, and Anna writes a note.", (
            "version-burst is configured to warn of three versions in ten minutes."
        ))  # fmt: skip
        for number in (1, 2, 3):
            with self.site.transaction("ben") as transaction:
                version = transaction.create("Version", self._version_values(f"BUN_020_v{number}"))
        with self.site.transaction("anna") as transaction:
            links = [{"type": "Version", "id": version.id}]
            note_values = {"subject": "The ears are late", "note_links": links}
            transaction.create("Note", {"project": self._studio.project, **note_values})
        self._wait_for_all_calls()

    def _play_slow_import(self) -> None:
        self._screen.print_scene("12:00", "Ben's import takes long; Anna keeps working.", (
            "The import's ids are lower than Anna's, its rows come later. Nothing waits."
        ))  # fmt: skip
        transaction = self.site.begin("ben")
        for step_name in ("animation", "lighting"):
            task_id = self._studio.task_id("BUN_020", step_name)
            transaction.update("Task", task_id, {"due_date": "2026-12-24"})
        self._studio.set_task("anna", "BUN_010", "lighting", {"sg_status_list": "ip"})
        self._wait_for_all_calls()
        self._screen.print_note("Now the import is done, and its events appear.")
        self.late_ids.update(transaction.ids)
        transaction.commit()
        self._wait_for_all_calls()

    def _play_failed_publish(self) -> None:
        self._screen.print_scene("13:00", "A publish fails and uses up 1,000 event ids.", (
            "Their events never come. Nothing waits for them either."
        ))  # fmt: skip
        self.missing_count += len(self.site.burn(1000))
        self._studio.set_task("anna", "BUN_010", "animation", {"sg_status_list": "fin"})
        self._wait_for_all_calls()

    def _play_unknown_status(self) -> None:
        self._screen.print_scene("14:00", "Ben puts a task on hold.", (
            "shot-status does not know that status and raises. The other plugins get the event"
            " anyway; shot-status keeps it as a dead letter."
        ))  # fmt: skip
        self._studio.set_task("ben", "BUN_020", "lighting", {"sg_status_list": "hld"})
        self._wait_for_all_calls()
        self._studio.set_task("ben", "BUN_020", "lighting", {"sg_status_list": "rdy"})
        self._wait_for_all_calls()

    def _play_outage(self) -> None:
        self._screen.print_scene("15:00", "The site answers with error pages for a moment.", (
            "What happens meanwhile is read once the site is back."
        ))  # fmt: skip
        self.site.faults.add("status", calls=2, entity_type="EventLogEntry")
        self._studio.set_task("anna", "BUN_010", "lighting", {"sg_status_list": "fin"})
        self._wait_for_all_calls()

    def _play_kill(self) -> None:
        scene_title = f"Ben changes {BURST_SIZE} tasks; meanwhile the daemon is killed."
        self._screen.print_scene("16:00", scene_title, (
            "It has no chance to save anything, and still continues where it was."
        ))  # fmt: skip
        for number in range(BURST_SIZE):
            status = "wtg" if number % 2 else "rdy"
            self._studio.set_task("ben", "BUN_020", "lighting", {"sg_status_list": status})
        enough_calls = len(self.calls) + CALLS_BEFORE_KILL
        self.follow_until(lambda: len(self.calls) >= enough_calls, CALL_PATIENCE)
        self._daemon.kill()
        self.kill_count += 1
        self._read_remaining_log()
        self._update_visible_events()
        behind_count = len(self._unfinished_plugins)
        explanation = f"kill -9, {behind_count} events behind. Then it is started again."
        self._screen.print_note(explanation, "red")
        self._daemon.start()
        self._wait_for_all_calls()

    def _play_evening(self) -> None:
        self._screen.print_scene("18:00", "Ben logs out.", (
            "user-activity counts in memory, in one object for its three callbacks, so only"
            " since the restart. What must survive a restart belongs in ctx.store."
        ))  # fmt: skip
        with self.site.transaction("ben") as transaction:
            transaction.event("Shotgun_User_Logout")
        self._wait_for_all_calls()

    def _version_values(self, version_code: str) -> dict[str, object]:
        studio = self._studio
        links = {"entity": studio.shots["BUN_020"], "user": studio.people["ben"]}
        return {"project": studio.project, "code": version_code, **links}

    # Following

    def _visible_ids(self) -> list[int]:
        with self.site.database.lock:
            visible_ids = self.site.log.visible_ids()
        return [event_id for event_id in visible_ids if event_id >= self._first_event_id]

    def _update_visible_events(self) -> None:
        """Record which events have become visible; show how far behind the plugins are."""
        now = time.monotonic()
        for event_id in self._visible_ids():
            if event_id not in self._visible_since:
                self._visible_since[event_id] = now
                row = self.site.log.row(event_id)
                self._unfinished_plugins[event_id] = set(expected_plugins(row))
        missing_count = self.site.log.next_id - self._first_event_id - len(self._visible_since)
        self._screen.show_behind(len(self._unfinished_plugins), missing_count)

    def _wait_for_all_calls(self) -> None:
        """Wait until every visible event has reached all plugins that want it."""
        self._update_visible_events()

        def is_over() -> bool:
            return not self._unfinished_plugins or self._has_daemon_ended()

        self.follow_until(is_over, CALL_PATIENCE)

    def _has_daemon_ended(self) -> bool:
        """Return whether the daemon has ended and its whole log was read."""
        return not self._daemon.is_running and self._daemon.plugin_news.empty()

    def _read_remaining_log(self) -> None:
        """Read the rest of the log of a daemon that has ended."""
        self.follow_until(self._daemon.plugin_news.empty, CALL_PATIENCE)

    def _show_call(self, call: DemoCall) -> None:
        self.calls.append(call)
        self._update_visible_events()
        row = self.site.log.row(call.event_id)
        new_line = ScreenLine(row, is_late=call.event_id in self.late_ids)
        line = self._lines_by_event.setdefault(call.event_id, new_line)
        line.call_positions.setdefault(call.plugin, len(line.call_positions) + 1)
        if call.raised:
            line.failed_plugins.add(call.plugin)
            self._pending_messages.append((call.plugin, call.raised))
        line.plugin_messages += self._pending_messages
        self._pending_messages = []
        waiting = self._unfinished_plugins.get(call.event_id, set())
        waiting.discard(call.plugin)
        if not waiting and self._unfinished_plugins.pop(call.event_id, None) is not None:
            line.seconds_after = time.monotonic() - self._visible_since[call.event_id]
            self._screen.print_event(line)

"""The scripted day: what happens in the studio, and which events the plugins get."""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import Empty
from typing import Final

from sgevents_core.cli._demo_daemon import DemoCall, DemoDaemon
from sgevents_core.cli._demo_promises import Evidence, wanted_by
from sgevents_core.cli._demo_screen import Screen, ScreenLine
from sgevents_core.cli._demo_studio import Studio

PATIENCE: Final = 8.0
"""Seconds that the plugins have to get their events before the demo continues without them."""
BURST: Final = 40
KILL_AFTER: Final = 12


class Day:
    """A scripted day, with what the daemon does during it.

    Args:
        studio: The studio in which it takes place.
        daemon: The daemon, not started yet.
        screen: The screen to print to.
        pause: The pause between two scenes, in seconds, for the reader.
    """

    def __init__(self, studio: Studio, daemon: DemoDaemon, screen: Screen, pause: float) -> None:
        self.site = studio.site
        self.calls: list[DemoCall] = []
        self.late: set[int] = set()
        self.missing = 0
        self.kills = 0
        self._studio = studio
        self._daemon = daemon
        self._screen = screen
        self._pause = pause
        self._first = self.site.log.next_id
        self._visible: dict[int, float] = {}
        self._lines: dict[int, ScreenLine] = {}
        self._open: dict[int, set[str]] = {}
        self._said: list[tuple[str, str]] = []

    def play(self) -> None:
        """Play all scenes in order; stop at one in which a plugin misses events."""
        scenes = (
            self._morning,
            self._work_begins,
            self._review,
            self._slow_import,
            self._failed_publish,
            self._odd_status,
            self._outage,
            self._power_cut,
            self._evening,
        )
        for scene in scenes:
            scene()
            self._screen.flush()
            if self._open:
                return
            self.follow(lambda: False, self._pause)

    def evidence(self) -> Evidence:
        """Return the evidence so far."""
        rows = [self.site.log.row(event_id) for event_id in self._ids()]
        return Evidence(rows, self.calls, self.late, self.missing, self.kills)

    def follow(self, over: Callable[[], bool], seconds: float) -> bool:
        """Print what plugins get until `over`; return False if that takes longer than `seconds`."""
        until = time.monotonic() + seconds
        while not over():
            if time.monotonic() >= until:
                return False
            self._look()
            try:
                item = self._daemon.news.get(timeout=0.02)
            except Empty:
                continue
            if isinstance(item, DemoCall):
                self._called(item)
            elif item.plugin != "event-log":
                self._said.append((item.plugin, item.text))
        return True

    def go_on(self) -> None:
        """Print what plugins get for as long as the daemon runs."""
        while self._daemon.running:
            self._all_called()
            self._screen.flush()
            self.follow(lambda: bool(self._open), 1.0)

    # The scenes

    def _morning(self) -> None:
        self._screen.scene("09:00", "The daemon starts, and Anna logs in.", (
            "Numbers tell which plugin is called first, second, third. Groups come in the order"
            " of the configuration, plugins of a group by name."
        ))  # fmt: skip
        self._daemon.start()
        with self.site.transaction("anna") as work:
            work.event("Shotgun_User_Login")
        self._all_called()

    def _work_begins(self) -> None:
        self._screen.scene("09:30", "Anna starts the animation of BUN_010.", (
            "shot-status writes to the site; that makes an event, which plugins get in turn."
        ))  # fmt: skip
        self._studio.set_task("anna", "BUN_010", "animation", {"sg_status_list": "ip"})
        self._all_called()

    def _review(self) -> None:
        self._screen.scene("11:00", "Ben makes three versions, Anna has a note on the last.", (
            "Three in ten minutes is what version-burst was set to warn of."
        ))  # fmt: skip
        for number in (1, 2, 3):
            with self.site.transaction("ben") as work:
                version = work.create("Version", self._version(f"BUN_020_v{number}"))
        with self.site.transaction("anna") as work:
            links = [{"type": "Version", "id": version.id}]
            note = {"subject": "The ears are late", "note_links": links}
            work.create("Note", {"project": self._studio.project, **note})
        self._all_called()

    def _slow_import(self) -> None:
        self._screen.scene("12:00", "Ben's import takes long; Anna works on.", (
            "The import's ids come before Anna's, its rows later. Nothing waits for them."
        ))  # fmt: skip
        work = self.site.begin("ben")
        for step in ("animation", "lighting"):
            work.update("Task", self._studio.task("BUN_020", step), {"due_date": "2026-12-24"})
        self._studio.set_task("anna", "BUN_010", "lighting", {"sg_status_list": "ip"})
        self._all_called()
        self._screen.note("Now the import is done, and its events turn up.")
        self.late.update(work.ids)
        work.commit()
        self._all_called()

    def _failed_publish(self) -> None:
        self._screen.scene("13:00", "A publish fails, and takes 1,000 event ids with it.", (
            "They never come. Nothing waits for them either."
        ))  # fmt: skip
        self.missing += len(self.site.burn(1000))
        self._studio.set_task("anna", "BUN_010", "animation", {"sg_status_list": "fin"})
        self._all_called()

    def _odd_status(self) -> None:
        self._screen.scene("14:00", "Ben puts a task on hold.", (
            "shot-status does not know that status, and raises. The others get the event all the"
            " same; its own is kept as a dead letter."
        ))  # fmt: skip
        self._studio.set_task("ben", "BUN_020", "lighting", {"sg_status_list": "hld"})
        self._all_called()
        self._studio.set_task("ben", "BUN_020", "lighting", {"sg_status_list": "rdy"})
        self._all_called()

    def _outage(self) -> None:
        self._screen.scene("15:00", "The site answers with error pages for a moment.", (
            "What happens meanwhile is read when it is back."
        ))  # fmt: skip
        self.site.faults.add("status", calls=2, entity_type="EventLogEntry")
        self._studio.set_task("anna", "BUN_010", "lighting", {"sg_status_list": "fin"})
        self._all_called()

    def _power_cut(self) -> None:
        self._screen.scene("16:00", f"Ben changes {BURST} tasks; meanwhile the daemon is killed.", (
            "It has no chance to save anything, and continues where it was all the same."
        ))  # fmt: skip
        for number in range(BURST):
            status = "wtg" if number % 2 else "rdy"
            self._studio.set_task("ben", "BUN_020", "lighting", {"sg_status_list": status})
        enough = len(self.calls) + KILL_AFTER
        self.follow(lambda: len(self.calls) >= enough, PATIENCE)
        self._daemon.kill()
        self.kills += 1
        self._all_heard()
        self._look()
        behind = f"kill -9, {len(self._open)} events behind. Then it is started again."
        self._screen.note(behind, "red")
        self._daemon.start()
        self._all_called()

    def _evening(self) -> None:
        self._screen.scene("18:00", "Ben logs out.", (
            "user-activity counts in memory, with one object for its three callbacks: since the"
            " restart. What has to outlive one belongs into ctx.store."
        ))  # fmt: skip
        with self.site.transaction("ben") as work:
            work.event("Shotgun_User_Logout")
        self._all_called()

    def _version(self, code: str) -> dict[str, object]:
        studio = self._studio
        made = {"entity": studio.shots["BUN_020"], "user": studio.people["ben"]}
        return {"project": studio.project, "code": code, **made}

    # Following

    def _ids(self) -> list[int]:
        with self.site.database.lock:
            return [some for some in self.site.log.visible_ids() if some >= self._first]

    def _look(self) -> None:
        """Record what has become visible on the site, and how far behind the plugins are."""
        now = time.monotonic()
        for event_id in self._ids():
            if event_id not in self._visible:
                self._visible[event_id] = now
                self._open[event_id] = set(wanted_by(self.site.log.row(event_id)))
        missing = self.site.log.next_id - self._first - len(self._visible)
        self._screen.behind(len(self._open), missing)

    def _all_called(self) -> None:
        """Wait until every visible event has reached all plugins that want it."""
        self._look()
        self.follow(lambda: not self._open or self._is_over(), PATIENCE)

    def _is_over(self) -> bool:
        """Return whether the daemon has ended and all of its log was read."""
        return not self._daemon.running and self._daemon.news.empty()

    def _all_heard(self) -> None:
        """Read the rest of the log of a daemon that has ended."""
        self.follow(self._daemon.news.empty, PATIENCE)

    def _called(self, call: DemoCall) -> None:
        self.calls.append(call)
        self._look()
        row = self.site.log.row(call.event_id)
        line = self._lines.setdefault(
            call.event_id, ScreenLine(row, late=call.event_id in self.late)
        )
        line.places.setdefault(call.plugin, len(line.places) + 1)
        if call.raised:
            line.raised.add(call.plugin)
            self._said.append((call.plugin, call.raised))
        line.said += self._said
        self._said = []
        waiting = self._open.get(call.event_id, set())
        waiting.discard(call.plugin)
        if not waiting and self._open.pop(call.event_id, None) is not None:
            line.after = time.monotonic() - self._visible[call.event_id]
            self._screen.event(line)

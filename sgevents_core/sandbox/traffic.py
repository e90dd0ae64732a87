"""What a studio does all day: one deterministic step at a time, or at a rate per second."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

from sgevents_core.sandbox.callers import Callers, SignedIn
from sgevents_core.sandbox.eventlog import EventRow
from sgevents_core.sandbox.faults import Fault, Faults
from sgevents_core.sandbox.records import Record, Ref
from sgevents_core.sandbox.refusal import RefusedCallError
from sgevents_core.sandbox.site_database import SiteDatabase
from sgevents_core.sandbox.transactions import Transactions
from sgevents_core.sandbox.writes import Transaction

_PAUSE: Final = 0.05  # seconds between bursts of a running traffic
_STATUSES: Final = ("wtg", "rdy", "ip", "rev", "apr", "fin", "hld")
_REMARKS: Final = (
    "The turn comes too early.",
    "Lovely, final this one.",
    "Please soften the shadow under the cart.",
    "Can we see it two frames later?",
)


class Traffic:
    """What people and scripts do on a site; the same seed gives the same steps.

    Args:
        database: The database it works on.
        callers: The possible scripts of a step.
        transactions: Begins and ends its transactions.
        faults: Those that strike writes strike its transactions too.
        seed: The seed of all chance.
        script: The script that works beside the people.
    """

    def __init__(
        self,
        database: SiteDatabase,
        callers: Callers,
        transactions: Transactions,
        faults: Faults,
        *,
        seed: int,
        script: str,
    ) -> None:
        self.die = random.Random(f"traffic {seed}")  # noqa: S311 - chance, not a secret
        self.database = database
        self._callers = callers
        self._transactions = transactions
        self._faults = faults
        self._script = script
        self._sessions: dict[Ref, str] = {}
        self._kinds = list(STEPS)
        self._weights = list(STEPS.values())

    def step(self, kind: str | None = None) -> list[int]:
        """Do one thing; return the ids of its events.

        Args:
            kind: One of `STEPS`; chance decides if left out.

        Raises:
            KeyError: The kind does not exist.
        """
        with self.database.lock:
            act = _ACTS[kind or self.die.choices(self._kinds, self._weights)[0]]
            struck = self._faults.striking(writes=True, method="traffic", script=self._script)
            try:
                return self._done(act, struck)
            except (IndexError, RefusedCallError):  # there is no record for it
                return self._done(_login, struck)

    def _done(self, act: Act, struck: list[Fault]) -> list[int]:
        with self._transactions.written(self._someone(), struck) as work:
            act(self, work)
        return work.ids

    def _someone(self) -> SignedIn:
        """Return a person usually, a script now and then."""
        people = list(self.database.records.of_type("HumanUser"))
        if not people or self.die.random() < 0.15:
            return self._callers.script(self._script)
        return self.person(self.die.choice(people))

    def person(self, record: Record) -> SignedIn:
        """Return the caller for a person, with the session they work in."""
        fresh = str(uuid.UUID(int=self.die.getrandbits(128), version=4))
        return SignedIn(record.ref, session_uuid=self._sessions.setdefault(record.ref, fresh))

    def some(self, entity_type: str) -> Record:
        """Return a record of a type.

        Raises:
            IndexError: There is no such record.
        """
        return self.die.choice(list(self.database.records.of_type(entity_type)))


def _link(record: Record) -> dict[str, Any]:
    return {"type": record.type, "id": record.id}


def _status(traffic: Traffic, work: Transaction) -> None:
    record = traffic.some(traffic.die.choice(("Task", "Task", "Task", "Shot", "Asset", "Version")))
    now = record.values.get("sg_status_list")
    new = traffic.die.choice([status for status in _STATUSES if status != now])
    work.update(record.type, record.id, {"sg_status_list": new})


def _assignment(traffic: Traffic, work: Transaction) -> None:
    task, person = traffic.some("Task"), traffic.some("HumanUser")
    mode = "remove" if person.ref in task.values["task_assignees"] else "add"
    values = {"task_assignees": [_link(person)]}
    work.update("Task", task.id, values, {"task_assignees": mode})


def _version(traffic: Traffic, work: Transaction) -> None:
    task = traffic.some("Task")
    number = len(task.values["sg_versions"]) + 1
    entity = traffic.database.records.live(task.values["entity"])
    values: dict[str, Any] = {
        "code": f"{task.link['name']}_v{number:03d}",
        "sg_task": _link(task),
        "frame_count": traffic.die.randrange(24, 120),
    }
    if entity:
        values["entity"] = _link(entity)
    if task.values["project"]:
        values["project"] = {"type": "Project", "id": task.values["project"][1]}
    version = work.create("Version", values)
    assert isinstance(version, Record)  # noqa: S101 - no row of the event log is made here
    work.set_picture(version, "image", 100_000 + version.id)


def _note(traffic: Traffic, work: Transaction) -> None:
    version = traffic.some("Version")
    values: dict[str, Any] = {
        "subject": f"Notes on {version.link['name']}",
        "content": traffic.die.choice(_REMARKS),
        "note_links": [_link(version)],
    }
    if version.values["project"]:
        values["project"] = {"type": "Project", "id": version.values["project"][1]}
    work.create("Note", values)


def _reply(traffic: Traffic, work: Transaction) -> None:
    """Write a reply, which belongs to no project."""
    note = traffic.some("Note")
    work.create("Reply", {"content": traffic.die.choice(_REMARKS), "entity": _link(note)})


def _playlist(traffic: Traffic, work: Transaction) -> None:
    playlist, version = traffic.some("Playlist"), traffic.some("Version")
    mode = "remove" if version.ref in playlist.values["versions"] else "add"
    work.update("Playlist", playlist.id, {"versions": [_link(version)]}, {"versions": mode})


def _schedule(traffic: Traffic, work: Transaction) -> None:
    task = traffic.some("Task")
    work.update("Task", task.id, {"est_in_mins": traffic.die.randrange(1, 40) * 120})


def _retire(traffic: Traffic, work: Transaction) -> None:
    record = traffic.some(traffic.die.choice(("Version", "Note", "Playlist", "Asset")))
    work.delete(record.type, record.id)


def _revive(traffic: Traffic, work: Transaction) -> None:
    for entity_type in ("Version", "Note", "Playlist", "Asset"):
        for record in traffic.database.records.of_type(entity_type, retired=True):
            work.revive(entity_type, record.id)
            return
    _retire(traffic, work)


def _bare(event_type: str, about: str | None = None, **meta: Any) -> Act:
    """Return a step that writes one row, of application behaviour or of a studio's own type."""

    def act(traffic: Traffic, work: Transaction) -> None:
        _row(traffic, work, event_type, about, meta or None)

    return act


def _row(
    traffic: Traffic,
    work: Transaction,
    event_type: str,
    about: str | None,
    meta: dict[str, Any] | str | None,
) -> EventRow:
    record = traffic.some(about) if about else None
    entity = record.ref if record else None
    project = record.values.get("project") if record else None
    return work.event(event_type, meta=meta, entity=entity, project=project)


def _reading(traffic: Traffic, work: Transaction) -> None:
    """Write a reading, whose type names no entity type: its entity is what was read."""
    note = traffic.some("Note")
    meta = {
        "type": "attribute_change",
        "attribute_name": "read_by_current_user",
        "entity_type": "Reading",
        "entity_id": traffic.die.randrange(1, 100_000),
        "field_data_type": "list",
        "old_value": None,
        "new_value": "read",
    }
    row = _row(traffic, work, "Shotgun_Reading_Change", None, meta)
    row.attribute_name = "read_by_current_user"
    row.entity, row.project = note.ref, note.values.get("project")


def _version_view(traffic: Traffic, work: Transaction) -> None:
    """Write a view of a version: `entity` is the page, and only `meta` names the version."""
    version = traffic.some("Version")
    meta = {"link_entity_type": version.type, "link_entity_id": version.id}
    row = _row(traffic, work, "Shotgun_Version_View", None, meta)
    page = next(traffic.database.records.of_type("Page"), None)
    row.entity, row.project = page.ref if page else None, version.values.get("project")


def _preference(traffic: Traffic, work: Transaction) -> None:
    """Write a change of a preference, which has keys of its own for old and new, and no type."""
    old, new = traffic.die.sample((8, 9, 10), 2)
    meta = {"pref": "hours_per_day", "old": old, "new": new}
    _row(traffic, work, "Shotgun_Preferences_Change", None, meta)


def _page_setting(traffic: Traffic, work: Transaction) -> None:
    """Write a change of a page layout: which settings changed, without values."""
    change = {"path": ["body", "list_content"], "type": "SG.Widget.NewGrid", "setting": "columns"}
    meta = {"type": "page_setting_change", "changes": [change], "friendly_changes": "On Grid"}
    page = next(traffic.database.records.of_type("Page"), None)
    row = _row(traffic, work, "Shotgun_PageSetting_Change", None, meta)
    if page is not None:
        row.entity, row.project = page.ref, page.values.get("project")


def _login(traffic: Traffic, work: Transaction) -> None:
    work.event("Shotgun_User_Login", entity=work.caller.user, meta={"type": "login"})


def _failed_login(traffic: Traffic, work: Transaction) -> None:
    """Write a failed login, which has no user and no meta."""
    work.event("Shotgun_User_FailedLogin", user=None, session_uuid=None)


def _text_meta(traffic: Traffic, work: Transaction) -> None:
    """Write an event of a studio's own type, whose meta is JSON as text."""
    text = json.dumps({"farm_job": traffic.die.randrange(1000), "frames": [1001, 1040]})
    _row(traffic, work, "Studio_Farm_JobDone", "Shot", text)


Act = Callable[[Traffic, Transaction], None]

_ACTS: Final[dict[str, Act]] = {
    "status": _status,
    "assignment": _assignment,
    "version": _version,
    "note": _note,
    "reply": _reply,
    "playlist": _playlist,
    "schedule": _schedule,
    "retire": _retire,
    "revive": _revive,
    "reading": _reading,
    "login": _login,
    "failed-login": _failed_login,
    "text-meta": _text_meta,
    "logout": _bare("Shotgun_User_Logout", None, type="logout"),
    "share": _bare("CRS_PlaylistShare_Create", "Playlist", type="share", shared_with=["client"]),
    "revoke": _bare("CRS_PlaylistShare_Revoke", "Playlist", type="share", shared_with=[]),
    "view": _bare("Shotgun_Attachment_View", "Version", type="view"),
    "version-view": _version_view,
    "preference": _preference,
    "page-setting": _page_setting,
    "big-query": _bare("Shotgun_Big_Query", None, rows=12_000, seconds=41.5),
    "column": _bare("Shotgun_DisplayColumn_Delete", None, entity_type="Shot", name="sg_old"),
    "summary": _bare("Shotgun_NotesApp_Summary_Email", "Playlist", type="email", recipients=3),
    "desktop": _bare("Toolkit_Desktop_AppLaunch", None, app="tk-desktop", version="v2.7.1"),
    "launch": _bare("Toolkit_Desktop_ProjectLaunch", "Shot", engine="tk-maya", version="v0.13"),
    "client-login": _bare("ClientLogin_Failed"),
    "rv": _bare("SG_RV_Session_Validate_Success", None, type="session"),
    "studio": _bare("Studio_Publish_Done", "Task", studio={"publisher": "v4", "ok": True}),
}

STEPS: Final[dict[str, float]] = {
    **dict.fromkeys(_ACTS, 0.5),
    "status": 30.0,
    "assignment": 8.0,
    "version": 6.0,
    "note": 5.0,
    "reply": 4.0,
    "playlist": 5.0,
    "schedule": 8.0,
    "reading": 4.0,
    "view": 3.0,
    "version-view": 3.0,
    "launch": 2.0,
}
"""Kind of step -> its relative frequency."""


class Flow:
    """Traffic at a rate, on a thread of its own until it is stopped.

    Args:
        step: Does one thing and returns the ids of its events.
        rate: Events per second.
    """

    def __init__(self, step: Callable[[], list[int]], rate: float) -> None:
        self.rate = rate
        self.events = 0
        self._step = step
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sandbox traffic", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stopped.wait(_PAUSE):
            due = (time.monotonic() - began) * self.rate
            while self.events < due and not self._stopped.is_set():
                self.events += max(1, len(self._step()))

    def stop(self) -> int:
        """End it; return the number of events it made."""
        self._stopped.set()
        self._thread.join()
        return self.events

    def __enter__(self) -> Flow:
        return self

    def __exit__(self, *_about: object) -> None:
        self.stop()

"""The traffic of a studio: one deterministic step at a time, or at a rate per second."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

from sgevents_core.sandbox.callers import ApiCaller, KnownCallers
from sgevents_core.sandbox.event_log import EventRow
from sgevents_core.sandbox.faults import Fault, Faults
from sgevents_core.sandbox.records import EntityRef, Record, entity_hash
from sgevents_core.sandbox.refused_calls import RefusedCallError
from sgevents_core.sandbox.site_database import SiteDatabase
from sgevents_core.sandbox.transactions import Transactions
from sgevents_core.sandbox.writes import Transaction

_BURST_PAUSE: Final = 0.05  # seconds between two bursts of running traffic
_STATUS_CODES: Final = ("wtg", "rdy", "ip", "rev", "apr", "fin", "hld")
_NOTE_TEXTS: Final = (
    "The turn comes too early.",
    "Lovely, final this one.",
    "Please soften the shadow under the cart.",
    "Can we see it two frames later?",
)


class Traffic:
    """Simulates people and scripts at work on a site; the same seed gives the same steps.

    Args:
        database: The database it works on.
        callers: The possible scripts of a step.
        transactions: Begins and ends its transactions.
        faults: The faults; those that strike writes strike its transactions too.
        seed: The seed of everything random.
        script_name: The script that works beside the people.
    """

    def __init__(
        self,
        database: SiteDatabase,
        callers: KnownCallers,
        transactions: Transactions,
        faults: Faults,
        *,
        seed: int,
        script_name: str,
    ) -> None:
        self.chance = random.Random(f"traffic {seed}")  # noqa: S311 - chance, not a secret
        self.database = database
        self._callers = callers
        self._transactions = transactions
        self._faults = faults
        self._script_name = script_name
        self._session_by_person: dict[EntityRef, str] = {}
        self._step_kinds = list(STEP_WEIGHTS)
        self._step_weights = list(STEP_WEIGHTS.values())

    def take_step(self, step_kind: str | None = None) -> list[int]:
        """Do one thing; return the ids of its events.

        Args:
            step_kind: One of `STEP_WEIGHTS`; random if left out.

        Raises:
            KeyError: The kind does not exist.
        """
        with self.database.lock:
            step_kind = step_kind or self.chance.choices(self._step_kinds, self._step_weights)[0]
            faults = self._faults.strike_call(
                is_transaction=True, method="traffic", script=self._script_name
            )
            try:
                return self._carry_out(_STEP_ACTIONS[step_kind], faults)
            except (IndexError, RefusedCallError):  # no record exists for this step
                return self._carry_out(_log_in, faults)

    def _carry_out(self, action: StepAction, faults: list[Fault]) -> list[int]:
        with self._transactions.write(self._random_caller(), faults) as transaction:
            action(self, transaction)
        return transaction.ids

    def _random_caller(self) -> ApiCaller:
        """Return a person in most cases, otherwise the script."""
        people = list(self.database.records.of_type("HumanUser"))
        if not people or self.chance.random() < 0.15:
            return self._callers.script_caller(self._script_name)
        return self.person_caller(self.chance.choice(people))

    def person_caller(self, record: Record) -> ApiCaller:
        """Return the caller for a person, with the session they work in."""
        new_session = str(uuid.UUID(int=self.chance.getrandbits(128), version=4))
        session_uuid = self._session_by_person.setdefault(record.ref, new_session)
        return ApiCaller(record.ref, session_uuid=session_uuid)

    def random_record(self, entity_type: str) -> Record:
        """Return a record of a type.

        Raises:
            IndexError: There is no such record.
        """
        return self.chance.choice(list(self.database.records.of_type(entity_type)))


def _change_status(traffic: Traffic, transaction: Transaction) -> None:
    entity_type = traffic.chance.choice(("Task", "Task", "Task", "Shot", "Asset", "Version"))
    record = traffic.random_record(entity_type)
    current_status = record.values.get("sg_status_list")
    new_status = traffic.chance.choice([code for code in _STATUS_CODES if code != current_status])
    transaction.update(record.type, record.id, {"sg_status_list": new_status})


def _change_assignment(traffic: Traffic, transaction: Transaction) -> None:
    task, person = traffic.random_record("Task"), traffic.random_record("HumanUser")
    mode = "remove" if person.ref in task.values["task_assignees"] else "add"
    values = {"task_assignees": [entity_hash(person.ref)]}
    transaction.update("Task", task.id, values, {"task_assignees": mode})


def _create_version(traffic: Traffic, transaction: Transaction) -> None:
    task = traffic.random_record("Task")
    version_number = len(task.values["sg_versions"]) + 1
    linked_entity = traffic.database.records.live(task.values["entity"])
    values: dict[str, Any] = {
        "code": f"{task.link['name']}_v{version_number:03d}",
        "sg_task": entity_hash(task.ref),
        "frame_count": traffic.chance.randrange(24, 120),
    }
    if linked_entity:
        values["entity"] = entity_hash(linked_entity.ref)
    if task.values["project"]:
        values["project"] = entity_hash(task.values["project"])
    version = transaction.create_record("Version", values)
    transaction.set_picture(version, "image", 100_000 + version.id)


def _create_note(traffic: Traffic, transaction: Transaction) -> None:
    version = traffic.random_record("Version")
    values: dict[str, Any] = {
        "subject": f"Notes on {version.link['name']}",
        "content": traffic.chance.choice(_NOTE_TEXTS),
        "note_links": [entity_hash(version.ref)],
    }
    if version.values["project"]:
        values["project"] = entity_hash(version.values["project"])
    transaction.create("Note", values)


def _create_reply(traffic: Traffic, transaction: Transaction) -> None:
    """Write a reply, which belongs to no project."""
    note = traffic.random_record("Note")
    values = {"content": traffic.chance.choice(_NOTE_TEXTS), "entity": entity_hash(note.ref)}
    transaction.create("Reply", values)


def _change_playlist(traffic: Traffic, transaction: Transaction) -> None:
    playlist, version = traffic.random_record("Playlist"), traffic.random_record("Version")
    mode = "remove" if version.ref in playlist.values["versions"] else "add"
    values = {"versions": [entity_hash(version.ref)]}
    transaction.update("Playlist", playlist.id, values, {"versions": mode})


def _change_estimate(traffic: Traffic, transaction: Transaction) -> None:
    task = traffic.random_record("Task")
    transaction.update("Task", task.id, {"est_in_mins": traffic.chance.randrange(1, 40) * 120})


def _retire_record(traffic: Traffic, transaction: Transaction) -> None:
    record = traffic.random_record(traffic.chance.choice(("Version", "Note", "Playlist", "Asset")))
    transaction.delete(record.type, record.id)


def _revive_record(traffic: Traffic, transaction: Transaction) -> None:
    for entity_type in ("Version", "Note", "Playlist", "Asset"):
        for record in traffic.database.records.of_type(entity_type, retired=True):
            transaction.revive(entity_type, record.id)
            return
    _retire_record(traffic, transaction)


def _write_bare_event(event_type: str, linked_type: str | None = None, **meta: Any) -> StepAction:
    """Return a step that writes one row, of application behaviour or of a studio's own type."""

    def action(traffic: Traffic, transaction: Transaction) -> None:
        _write_event(traffic, transaction, event_type, linked_type, meta or None)

    return action


def _write_event(
    traffic: Traffic,
    transaction: Transaction,
    event_type: str,
    entity_type: str | None,
    meta: dict[str, Any] | str | None,
) -> EventRow:
    record = traffic.random_record(entity_type) if entity_type else None
    entity_ref = record.ref if record else None
    project_ref = record.values.get("project") if record else None
    return transaction.event(event_type, meta=meta, entity=entity_ref, project=project_ref)


def _mark_note_read(traffic: Traffic, transaction: Transaction) -> None:
    """Write a reading, whose type names no entity type: its entity is what was read."""
    note = traffic.random_record("Note")
    meta = {
        "type": "attribute_change",
        "attribute_name": "read_by_current_user",
        "entity_type": "Reading",
        "entity_id": traffic.chance.randrange(1, 100_000),
        "field_data_type": "list",
        "old_value": None,
        "new_value": "read",
    }
    row = _write_event(traffic, transaction, "Shotgun_Reading_Change", None, meta)
    row.attribute_name = "read_by_current_user"
    row.entity, row.project = note.ref, note.values.get("project")


def _view_version(traffic: Traffic, transaction: Transaction) -> None:
    """Write a view of a version: `entity` is the page, and only `meta` names the version."""
    version = traffic.random_record("Version")
    meta = {"link_entity_type": version.type, "link_entity_id": version.id}
    row = _write_event(traffic, transaction, "Shotgun_Version_View", None, meta)
    page = next(traffic.database.records.of_type("Page"), None)
    row.entity, row.project = page.ref if page else None, version.values.get("project")


def _change_preference(traffic: Traffic, transaction: Transaction) -> None:
    """Write a change of a preference, which has keys of its own for old and new, and no type."""
    old_hours, new_hours = traffic.chance.sample((8, 9, 10), 2)
    meta = {"pref": "hours_per_day", "old": old_hours, "new": new_hours}
    _write_event(traffic, transaction, "Shotgun_Preferences_Change", None, meta)


def _change_page_setting(traffic: Traffic, transaction: Transaction) -> None:
    """Write a change of a page layout: which settings changed, without values."""
    setting_change = {
        "path": ["body", "list_content"],
        "type": "SG.Widget.NewGrid",
        "setting": "columns",
    }
    meta = {
        "type": "page_setting_change",
        "changes": [setting_change],
        "friendly_changes": "On Grid",
    }
    page = next(traffic.database.records.of_type("Page"), None)
    row = _write_event(traffic, transaction, "Shotgun_PageSetting_Change", None, meta)
    if page is not None:
        row.entity, row.project = (page.ref, page.values.get("project"))


def _log_in(traffic: Traffic, transaction: Transaction) -> None:
    transaction.event(
        "Shotgun_User_Login", entity=transaction.caller.user_ref, meta={"type": "login"}
    )


def _fail_login(traffic: Traffic, transaction: Transaction) -> None:
    """Write a failed login, which has no user and no meta."""
    transaction.event("Shotgun_User_FailedLogin", user=None, session_uuid=None)


def _write_text_meta(traffic: Traffic, transaction: Transaction) -> None:
    """Write an event of a studio's own type, whose meta is JSON as text."""
    meta_text = json.dumps({"farm_job": traffic.chance.randrange(1000), "frames": [1001, 1040]})
    _write_event(traffic, transaction, "Studio_Farm_JobDone", "Shot", meta_text)


StepAction = Callable[[Traffic, Transaction], None]

_STEP_ACTIONS: Final[dict[str, StepAction]] = {
    "status": _change_status,
    "assignment": _change_assignment,
    "version": _create_version,
    "note": _create_note,
    "reply": _create_reply,
    "playlist": _change_playlist,
    "schedule": _change_estimate,
    "retire": _retire_record,
    "revive": _revive_record,
    "reading": _mark_note_read,
    "login": _log_in,
    "failed-login": _fail_login,
    "text-meta": _write_text_meta,
    "logout": _write_bare_event("Shotgun_User_Logout", None, type="logout"),
    "share": _write_bare_event(
        "CRS_PlaylistShare_Create", "Playlist", type="share", shared_with=["client"]
    ),
    "revoke": _write_bare_event(
        "CRS_PlaylistShare_Revoke", "Playlist", type="share", shared_with=[]
    ),
    "view": _write_bare_event("Shotgun_Attachment_View", "Version", type="view"),
    "version-view": _view_version,
    "preference": _change_preference,
    "page-setting": _change_page_setting,
    "big-query": _write_bare_event("Shotgun_Big_Query", None, rows=12_000, seconds=41.5),
    "column": _write_bare_event(
        "Shotgun_DisplayColumn_Delete", None, entity_type="Shot", name="sg_old"
    ),
    "summary": _write_bare_event(
        "Shotgun_NotesApp_Summary_Email", "Playlist", type="email", recipients=3
    ),
    "desktop": _write_bare_event(
        "Toolkit_Desktop_AppLaunch", None, app="tk-desktop", version="v2.7.1"
    ),
    "launch": _write_bare_event(
        "Toolkit_Desktop_ProjectLaunch", "Shot", engine="tk-maya", version="v0.13"
    ),
    "client-login": _write_bare_event("ClientLogin_Failed"),
    "rv": _write_bare_event("SG_RV_Session_Validate_Success", None, type="session"),
    "studio": _write_bare_event(
        "Studio_Publish_Done", "Task", studio={"publisher": "v4", "ok": True}
    ),
}

STEP_WEIGHTS: Final[dict[str, float]] = {
    **dict.fromkeys(_STEP_ACTIONS, 0.5),
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


class TrafficFlow:
    """Traffic at a rate, on a thread of its own until it is stopped.

    Args:
        take_step: Does one thing and returns the ids of its events.
        events_per_second: The rate of the traffic.
    """

    def __init__(self, take_step: Callable[[], list[int]], events_per_second: float) -> None:
        self.rate = events_per_second
        self.events = 0
        self._take_step = take_step
        self._stop_requested = threading.Event()
        self._traffic_thread = threading.Thread(
            target=self._run_traffic, name="sandbox traffic", daemon=True
        )
        self._traffic_thread.start()

    def _run_traffic(self) -> None:
        started_at = time.monotonic()
        while not self._stop_requested.wait(_BURST_PAUSE):
            due_events = (time.monotonic() - started_at) * self.rate
            while self.events < due_events and not self._stop_requested.is_set():
                self.events += max(1, len(self._take_step()))

    def stop(self) -> int:
        """Stop it; return the number of events it has caused."""
        self._stop_requested.set()
        self._traffic_thread.join()
        return self.events

    def __enter__(self) -> TrafficFlow:
        return self

    def __exit__(self, *_exception_details: object) -> None:
        self.stop()

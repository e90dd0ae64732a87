"""The small project of a fresh sandbox site: people, sequences, shots, tasks, versions."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any, Final

from sgevents_core.moments import stamp_of
from sgevents_core.sandbox.callers import SignedIn
from sgevents_core.sandbox.fields import STATUSES
from sgevents_core.sandbox.records import Record, Ref
from sgevents_core.sandbox.refusal import RefusedCallError
from sgevents_core.sandbox.site_database import SiteDatabase
from sgevents_core.sandbox.writes import Transaction

PEOPLE: Final = (
    ("Ada", "Park", "Production"),
    ("Bruno", "Silva", "Animation"),
    ("Chidi", "Okoye", "Lighting"),
    ("Dana", "Novak", "Compositing"),
    ("Emre", "Kaya", "Modeling"),
    ("Fay", "Laurent", "Production"),
)
SHOT_STEPS: Final = ("Layout", "Animation", "FX", "Lighting", "Comp")
ASSET_STEPS: Final = ("Model", "Surface", "Rig")
ASSETS: Final = (
    ("Fox", "Character"),
    ("Heron", "Character"),
    ("Miller", "Character"),
    ("Mill", "Environment"),
    ("Marsh", "Environment"),
    ("Cart", "Vehicle"),
    ("Lantern", "Prop"),
    ("Rope", "Prop"),
)
_ESSENTIAL: Final = ("name", "login", "code", "content", "project", "entity", "step", "users")
"""Values to create a record with if a site's own lists refuse some of its values."""

BEGAN: Final = timedelta(days=30)
"""How long ago the project began."""

LASTED: Final = timedelta(days=10)
"""How long it took to set the project up."""


class Seed:
    """The writer of the project; the same seed writes the same records and events.

    Args:
        database: The database to write to.
        caller: The caller of the writes.
        seed: The seed of all chance.
    """

    def __init__(self, database: SiteDatabase, caller: SignedIn, seed: int) -> None:
        self._random = random.Random(f"project {seed}")  # noqa: S311 - chance, not a secret
        self._database = database
        self._caller = caller
        self._began = database.clock() - BEGAN
        self._done = 0

    def write(self) -> None:
        """Write the whole project, one transaction per record."""
        with self._database.lock:
            self._site()
            people = self._people()
            project = self._add("Project", name="Fox and Heron", code="fah", users=people)
            self._add("Project", name="Old Show", code="old", archived=True, sg_status="Archive")
            steps = self._steps()
            shots = self._shots(project)
            assets = self._assets(project, shots)
            tasks = self._tasks(project, shots, SHOT_STEPS, steps, people)
            tasks += self._tasks(project, assets, ASSET_STEPS, steps, people)
            versions = self._versions(project, tasks, people)
            self._talk(project, versions, people)
            self._pipeline(project)

    def _add(self, entity_type: str, /, **values: Any) -> Record:
        # Spread over the time of the project, however many records there are.
        self._done += 1
        at = self._began + min(LASTED, timedelta(minutes=45) * self._done)
        work = Transaction(self._database, self._caller, at)
        told = {name: _wire(value) for name, value in values.items()}
        try:
            record = work.create(entity_type, told)
        except RefusedCallError:  # a studio's own lists may not have these values
            record = work.create(entity_type, {k: told[k] for k in _ESSENTIAL if k in told})
        work.commit()
        assert isinstance(record, Record)  # noqa: S101 - no row of the event log is made here
        return record

    def _site(self) -> None:
        for code, name in STATUSES.items():
            self._add("Status", code=code, name=name)
        for name in ("hero", "night", "crowd"):
            self._add("Tag", name=name)

    def _people(self) -> list[Record]:
        names = dict.fromkeys(department for _, _, department in PEOPLE)
        departments = {name: self._add("Department", name=name) for name in names}
        people = [
            self._add(
                "HumanUser",
                name=f"{first} {last}",
                firstname=first,
                lastname=last,
                login=first.lower(),
                email=f"{first.lower()}@studio.example",
                department=departments[department],
            )
            for first, last, department in PEOPLE
        ]
        self._add("Group", code="Supervisors", users=[people[0], people[5]])
        return people

    def _steps(self) -> dict[str, Record]:
        kinds = [*((name, "Shot") for name in SHOT_STEPS), *((n, "Asset") for n in ASSET_STEPS)]
        return {
            name: self._add("Step", code=name, entity_type=kind, list_order=place)
            for place, (name, kind) in enumerate(kinds, start=1)
        }

    def _shots(self, project: Record) -> list[Record]:
        shots = []
        for number in (10, 20, 30):
            sequence = self._add("Sequence", code=f"sq{number:03d}", project=project)
            for shot in range(10, 50, 10):
                cut_in, length = 1001, self._random.randrange(24, 120)
                shots.append(
                    self._add(
                        "Shot",
                        code=f"sq{number:03d}_sh{shot:03d}",
                        project=project,
                        sg_sequence=sequence,
                        sg_cut_in=cut_in,
                        sg_cut_out=cut_in + length - 1,
                        sg_cut_duration=length,
                    )
                )
        return shots

    def _assets(self, project: Record, shots: list[Record]) -> list[Record]:
        return [
            self._add(
                "Asset",
                code=name,
                sg_asset_type=kind,
                project=project,
                shots=self._random.sample(shots, 3),
            )
            for name, kind in ASSETS
        ]

    def _tasks(
        self,
        project: Record,
        entities: list[Record],
        names: tuple[str, ...],
        steps: dict[str, Record],
        people: list[Record],
    ) -> list[Record]:
        return [
            self._add(
                "Task",
                content=name,
                project=project,
                entity=entity,
                step=steps[name],
                task_assignees=[self._random.choice(people)],
                est_in_mins=self._random.randrange(1, 10) * 480,
                sg_status_list=self._random.choice(("wtg", "rdy", "ip", "fin")),
            )
            for entity in entities
            for name in names
        ]

    def _versions(self, project: Record, tasks: list[Record], people: list[Record]) -> list[Record]:
        return [
            self._add(
                "Version",
                code=f"{self._name(task.values['entity'])}_{task.values['content']}_v001",
                project=project,
                entity=task.values["entity"],
                sg_task=task,
                user=self._random.choice(people),
                frame_count=self._random.randrange(24, 120),
            )
            for task in self._random.sample(tasks, 12)
        ]

    def _name(self, ref: Ref) -> str:
        link = self._database.records.link(ref) or {}
        return str(link.get("name"))

    def _talk(self, project: Record, versions: list[Record], people: list[Record]) -> None:
        for version in versions[:6]:
            author, reader = self._random.sample(people, 2)
            note = self._add(
                "Note",
                subject=f"Notes on {version.link['name']}",
                content="Please look at the timing of the turn.",
                project=project,
                user=author,
                note_links=[version, version.values["entity"]],
                addressings_to=[reader],
            )
            self._add("Reply", content="Will do.", entity=note, user=reader)
        for name, part in (("Dailies Monday", versions[:6]), ("Client review", versions[6:])):
            self._add("Playlist", code=name, project=project, versions=part)

    def _pipeline(self, project: Record) -> None:
        """Write the records that a pipeline looks up: storages, kinds of files, a page."""
        roots = {"linux_path": "/mnt/projects", "mac_path": "/Volumes/projects"}
        self._add("LocalStorage", code="primary", windows_path="P:\\projects", **roots)
        for name, short in (("Maya Scene", "maya"), ("Alembic Cache", "abc"), ("Image", "img")):
            self._add("PublishedFileType", code=name, short_name=short)
        opened = stamp_of(self._began)
        page = {"entity_type": "Shot", "page_type": "canvas", "last_accessed": opened}
        self._add("Page", name="Shots", project=project, **page)


def _wire(value: Any) -> Any:
    if isinstance(value, Record):
        return {"type": value.type, "id": value.id}
    if isinstance(value, tuple):
        return {"type": value[0], "id": value[1]}
    return [_wire(some) for some in value] if isinstance(value, list) else value

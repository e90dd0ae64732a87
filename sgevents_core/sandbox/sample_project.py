"""The small project of a fresh sandbox site: people, sequences, shots, tasks, versions."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any, Final

from sgevents_core.moments import api_timestamp
from sgevents_core.sandbox.callers import ApiCaller
from sgevents_core.sandbox.field_builders import STATUS_NAMES
from sgevents_core.sandbox.records import EntityRef, Record, entity_hash
from sgevents_core.sandbox.refused_calls import RefusedCallError
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
ASSET_NAMES: Final = (
    ("Fox", "Character"),
    ("Heron", "Character"),
    ("Miller", "Character"),
    ("Mill", "Environment"),
    ("Marsh", "Environment"),
    ("Cart", "Vehicle"),
    ("Lantern", "Prop"),
    ("Rope", "Prop"),
)
_ESSENTIAL_FIELDS: Final[tuple[str, ...]] = (
    "name",
    "login",
    "code",
    "content",
    "project",
    "entity",
    "step",
    "users",
)
"""Values to create a record with if a site's own lists refuse some of its values."""

PROJECT_AGE: Final = timedelta(days=30)
"""How long ago the project began."""

SETUP_TIME: Final = timedelta(days=10)
"""How long it took to set the project up."""


class SampleProject:
    """The writer of the project; the same seed writes the same records and events.

    Args:
        database: The database to write to.
        caller: The caller of the writes.
        seed: The seed of everything random.
    """

    def __init__(self, database: SiteDatabase, caller: ApiCaller, seed: int) -> None:
        self._chance = random.Random(f"project {seed}")  # noqa: S311 - chance, not a secret
        self._database = database
        self._caller = caller
        self._first_moment = database.clock() - PROJECT_AGE
        self._created_count = 0

    def write_records(self) -> None:
        """Write the whole project, one transaction per record."""
        with self._database.lock:
            self._write_statuses_and_tags()
            people = self._write_people()
            project = self._create_record("Project", name="Fox and Heron", code="fah", users=people)
            self._create_record(
                "Project", name="Old Show", code="old", archived=True, sg_status="Archive"
            )
            steps = self._write_pipeline_steps()
            shots = self._write_shots(project)
            assets = self._write_assets(project, shots)
            tasks = self._write_tasks(project, shots, SHOT_STEPS, steps, people)
            tasks += self._write_tasks(project, assets, ASSET_STEPS, steps, people)
            versions = self._write_versions(project, tasks, people)
            self._write_notes_and_playlists(project, versions, people)
            self._write_pipeline_records(project)

    def _create_record(self, entity_type: str, /, **values: Any) -> Record:
        # Spread over the time of the project, however many records there are.
        self._created_count += 1
        creation_time = self._first_moment + min(
            SETUP_TIME, timedelta(minutes=45) * self._created_count
        )
        transaction = Transaction(self._database, self._caller, creation_time)
        values = {name: _wire_value(value) for name, value in values.items()}
        try:
            record = transaction.create_record(entity_type, values)
        except RefusedCallError:  # a studio's own lists may not have these values
            essential = {name: values[name] for name in _ESSENTIAL_FIELDS if name in values}
            record = transaction.create_record(entity_type, essential)
        transaction.commit()
        return record

    def _write_statuses_and_tags(self) -> None:
        for status_code, shown_name in STATUS_NAMES.items():
            self._create_record("Status", code=status_code, name=shown_name)
        for shown_name in ("hero", "night", "crowd"):
            self._create_record("Tag", name=shown_name)

    def _write_people(self) -> list[Record]:
        names = dict.fromkeys(department for _, _, department in PEOPLE)
        departments = {
            department: self._create_record("Department", name=department) for department in names
        }
        people = [
            self._create_record(
                "HumanUser",
                name=f"{first_name} {last_name}",
                firstname=first_name,
                lastname=last_name,
                login=first_name.lower(),
                email=f"{first_name.lower()}@studio.example",
                department=departments[department],
            )
            for first_name, last_name, department in PEOPLE
        ]
        self._create_record("Group", code="Supervisors", users=[people[0], people[5]])
        return people

    def _write_pipeline_steps(self) -> dict[str, Record]:
        step_types = [(name, "Shot") for name in SHOT_STEPS]
        step_types += [(name, "Asset") for name in ASSET_STEPS]
        return {
            step_name: self._create_record(
                "Step", code=step_name, entity_type=step_type, list_order=list_order
            )
            for list_order, (step_name, step_type) in enumerate(step_types, start=1)
        }

    def _write_shots(self, project: Record) -> list[Record]:
        shots = []
        for number in (10, 20, 30):
            sequence = self._create_record("Sequence", code=f"sq{number:03d}", project=project)
            for shot in range(10, 50, 10):
                cut_in, frame_count = 1001, self._chance.randrange(24, 120)
                shots.append(
                    self._create_record(
                        "Shot",
                        code=f"sq{number:03d}_sh{shot:03d}",
                        project=project,
                        sg_sequence=sequence,
                        sg_cut_in=cut_in,
                        sg_cut_out=cut_in + frame_count - 1,
                        sg_cut_duration=frame_count,
                    )
                )
        return shots

    def _write_assets(self, project: Record, shots: list[Record]) -> list[Record]:
        return [
            self._create_record(
                "Asset",
                code=asset_name,
                sg_asset_type=asset_type,
                project=project,
                shots=self._chance.sample(shots, 3),
            )
            for asset_name, asset_type in ASSET_NAMES
        ]

    def _write_tasks(
        self,
        project: Record,
        entities: list[Record],
        step_names: tuple[str, ...],
        steps: dict[str, Record],
        people: list[Record],
    ) -> list[Record]:
        return [
            self._create_record(
                "Task",
                content=step_name,
                project=project,
                entity=entity,
                step=steps[step_name],
                task_assignees=[self._chance.choice(people)],
                est_in_mins=self._chance.randrange(1, 10) * 480,
                sg_status_list=self._chance.choice(("wtg", "rdy", "ip", "fin")),
            )
            for entity in entities
            for step_name in step_names
        ]

    def _write_versions(
        self, project: Record, tasks: list[Record], people: list[Record]
    ) -> list[Record]:
        return [
            self._create_record(
                "Version",
                code=f"{self._shown_name(task.values['entity'])}_{task.values['content']}_v001",
                project=project,
                entity=task.values["entity"],
                sg_task=task,
                user=self._chance.choice(people),
                frame_count=self._chance.randrange(24, 120),
            )
            for task in self._chance.sample(tasks, 12)
        ]

    def _shown_name(self, entity_ref: EntityRef) -> str:
        link = self._database.records.link(entity_ref) or {}
        return str(link.get("name"))

    def _write_notes_and_playlists(
        self, project: Record, versions: list[Record], people: list[Record]
    ) -> None:
        for version in versions[:6]:
            author, recipient = self._chance.sample(people, 2)
            note = self._create_record(
                "Note",
                subject=f"Notes on {version.link['name']}",
                content="Please look at the timing of the turn.",
                project=project,
                user=author,
                note_links=[version, version.values["entity"]],
                addressings_to=[recipient],
            )
            self._create_record("Reply", content="Will do.", entity=note, user=recipient)
        for name, part in (("Dailies Monday", versions[:6]), ("Client review", versions[6:])):
            self._create_record("Playlist", code=name, project=project, versions=part)

    def _write_pipeline_records(self, project: Record) -> None:
        """Write the records that a pipeline looks up: storages, kinds of files, a page."""
        storage_roots = {"linux_path": "/mnt/projects", "mac_path": "/Volumes/projects"}
        self._create_record(
            "LocalStorage", code="primary", windows_path="P:\\projects", **storage_roots
        )
        file_types = (("Maya Scene", "maya"), ("Alembic Cache", "abc"), ("Image", "img"))
        for file_type, short_name in file_types:
            self._create_record("PublishedFileType", code=file_type, short_name=short_name)
        opened_at = api_timestamp(self._first_moment)
        page_fields = {"entity_type": "Shot", "page_type": "canvas", "last_accessed": opened_at}
        self._create_record("Page", name="Shots", project=project, **page_fields)


def _wire_value(value: Any) -> Any:
    if isinstance(value, Record):
        return entity_hash(value.ref)
    if isinstance(value, tuple):
        return entity_hash((value[0], value[1]))
    return [_wire_value(item) for item in value] if isinstance(value, list) else value

"""The entity types of the sandbox site: those that a studio uses daily, and a few of its own."""

from __future__ import annotations

from typing import Final

from sgevents_core.sandbox.entity_schema import EntityType, Field
from sgevents_core.sandbox.fields import USERS, entity_type, link, links, plain, status, text
from sgevents_core.sandbox.records import VERSION
from sgevents_core.scripts import LOGS

CUSTOM_TYPES: Final = tuple(f"CustomEntity{number:02d}" for number in range(1, 31))
SITE_TYPES: Final = tuple(f"CustomNonProjectEntity{number:02d}" for number in range(1, 16))
"""Types of a studio's own that belong to no project."""

REVIEWED: Final = ("Shot", "Asset", "Sequence", *CUSTOM_TYPES)
"""Entity types whose records have versions."""


def _work(name: str, *fields: list[Field]) -> EntityType:
    """Return an entity type of production: it has a project, a status, tasks, notes, versions."""
    return entity_type(
        name,
        name,
        "code",
        text("code", "description"),
        link("project", "Project"),
        status("wtg"),
        links("tasks", "Task", back="entity"),
        links("notes", "Note", back="note_links"),
        links("sg_versions", "Version", back="entity"),
        *fields,
    )


def _event_log_entry() -> EntityType:
    fields = [
        Field("id", "number", "Id", editable=False),
        Field("type", "entity_type", "Type", editable=False),
        *text("event_type", "attribute_name", "description"),
        Field("cached_display_name", "text", "Cached Display Name", editable=False),
        *plain("serializable", "meta"),
        *link("entity"),
        *link("project", "Project"),
        *link("user", *USERS),
        Field("created_at", "date_time", "Date Created", editable=False),
        *plain("uuid", "session_uuid"),
        *plain("image", "image", "filmstrip_image"),
    ]
    by_name = {field.name: field for field in fields}
    return EntityType("EventLogEntry", "Event Log Entry", "event_type", by_name)


def _people() -> list[EntityType]:
    return [
        entity_type(
            "HumanUser",
            "Person",
            "name",
            text("name", "firstname", "lastname", "login", "email"),
            status("act"),
            link("department", "Department"),
            links("projects", "Project", back="users"),
            links("groups", "Group", back="users"),
        ),
        entity_type(
            "ApiUser",
            "Script",
            "firstname",
            text("firstname", "description", "email"),
            plain("text", VERSION, default="1.0"),
            plain("checkbox", LOGS, default=False),
        ),
        entity_type("ClientUser", "Client User", "name", text("name", "email"), status("act")),
        entity_type(
            "Group", "Group", "code", text("code"), links("users", "HumanUser", back="groups")
        ),
        entity_type("Department", "Department", "name", text("name", "code")),
    ]


def _project() -> EntityType:
    return entity_type(
        "Project",
        "Project",
        "name",
        text("name", "code", "sg_description"),
        plain("list", "sg_status", default="Active"),
        plain("checkbox", "archived", "is_demo", "is_template", default=False),
        plain("date", "start_date", "end_date"),
        links("users", "HumanUser", back="projects"),
    )


def _sequence() -> EntityType:
    return _work(
        "Sequence",
        links("shots", "Shot", back="sg_sequence"),
        links("assets", "Asset", back="sequences"),
    )


def _shot() -> EntityType:
    return _work(
        "Shot",
        link("sg_sequence", "Sequence", back="shots"),
        links("assets", "Asset", back="shots"),
        plain("list", "sg_shot_type"),
        plain("number", "sg_cut_in", "sg_cut_out", "sg_cut_duration", "sg_cut_order"),
        plain("number", "sg_head_in", "sg_tail_out"),
        plain("checkbox", "sg_vfx", default=False),
        plain("float", "sg_lens"),
    )


def _asset() -> EntityType:
    return _work(
        "Asset",
        plain("list", "sg_asset_type"),
        links("shots", "Shot", back="assets"),
        links("sequences", "Sequence", back="assets"),
        links("parents", "Asset", back="assets"),
        links("assets", "Asset", back="parents"),
    )


def _step() -> EntityType:
    return entity_type(
        "Step",
        "Pipeline Step",
        "code",
        text("code", "short_name", "description"),
        plain("entity_type", "entity_type"),
        plain("color", "color"),
        plain("number", "list_order"),
    )


def _production() -> list[EntityType]:
    return [
        _project(),
        _sequence(),
        _shot(),
        _asset(),
        _task(),
        _step(),
        entity_type("Status", "Status", "name", text("code", "name"), plain("color", "bg_color")),
        entity_type("Tag", "Tag", "name", text("name")),
    ]


def _task() -> EntityType:
    return entity_type(
        "Task",
        "Task",
        "content",
        text("content", "sg_description"),
        link("project", "Project"),
        link("entity", "Shot", "Asset", "Sequence", *CUSTOM_TYPES, back="tasks"),
        link("step", "Step"),
        status("wtg"),
        [
            Field(
                "task_assignees", "multi_entity", "Assigned To", ("HumanUser", "Group"), default=()
            )
        ],
        plain("date", "start_date", "due_date"),
        plain("duration", "duration", "est_in_mins"),
        plain("percent", "time_percent_of_est"),
        plain("checkbox", "milestone", default=False),
        plain("color", "color", default="pipeline_step"),
        plain("number", "sg_sort_order"),
        links("sg_versions", "Version", back="sg_task"),
        links("upstream_tasks", "Task", back="downstream_tasks"),
        links("downstream_tasks", "Task", back="upstream_tasks"),
    )


def _version() -> EntityType:
    return entity_type(
        "Version",
        "Version",
        "code",
        text("code", "description", "sg_path_to_movie", "sg_path_to_frames"),
        link("project", "Project"),
        link("entity", *REVIEWED, back="sg_versions"),
        link("sg_task", "Task", back="sg_versions"),
        link("user", *USERS),
        status("rev"),
        plain("number", "frame_count", "sg_first_frame", "sg_last_frame"),
        plain("checkbox", "client_approved", "flagged", default=False),
        plain("url", "sg_uploaded_movie"),
        links("playlists", "Playlist", back="versions"),
        links("notes", "Note", back="note_links"),
        links("published_files", "PublishedFile", back="version"),
    )


def _published_file() -> EntityType:
    return entity_type(
        "PublishedFile",
        "Published File",
        "code",
        text("code", "name", "description"),
        link("project", "Project"),
        link("entity", *REVIEWED),
        link("version", "Version", back="published_files"),
        link("task", "Task"),
        status("wtg"),
        plain("number", "version_number"),
        plain("url", "path"),
    )


def _playlist() -> EntityType:
    return entity_type(
        "Playlist",
        "Playlist",
        "code",
        text("code", "description"),
        link("project", "Project"),
        plain("date_time", "sg_date_and_time"),
        plain("checkbox", "locked", default=False),
        links("versions", "Version", back="playlists"),
    )


def _attachment() -> EntityType:
    return entity_type(
        "Attachment",
        "File",
        "display_name",
        text("display_name", "filename", "description"),
        link("project", "Project"),
        links("attachment_links"),
        plain("url", "this_file"),
    )


def _media() -> list[EntityType]:
    return [_version(), _published_file(), _playlist(), _attachment()]


def _note() -> EntityType:
    return entity_type(
        "Note",
        "Note",
        "subject",
        text("subject", "content"),
        link("project", "Project"),
        link("user", *USERS),
        links("note_links", "Shot", "Asset", "Sequence", "Version", *CUSTOM_TYPES, back="notes"),
        links("tasks", "Task"),
        [Field("addressings_to", "addressing", "To", ("HumanUser", "Group"), default=())],
        [Field("addressings_cc", "addressing", "CC", ("HumanUser", "Group"), default=())],
        status("opn"),
        plain("list", "sg_note_type"),
        links("replies", "Reply", back="entity"),
        plain("checkbox", "client_note", default=False),
    )


def _reply() -> EntityType:
    return entity_type(
        "Reply",
        "Reply",
        "content",
        text("content"),
        link("entity", "Note", back="replies"),
        link("user", *USERS),
    )


def _time_log() -> EntityType:
    return entity_type(
        "TimeLog",
        "Time Log",
        "description",
        text("description"),
        link("project", "Project"),
        link("entity", "Task"),
        link("user", *USERS),
        plain("date", "date"),
        plain("duration", "duration"),
    )


def _talk() -> list[EntityType]:
    return [
        _note(),
        _reply(),
        _time_log(),
        entity_type(
            "DisplayColumn",
            "Display Column",
            "name",
            text("name"),
            plain("entity_type", "entity_type"),
        ),
    ]


def _custom(name: str) -> EntityType:
    number = name.removeprefix("CustomEntity")
    kind = _work(name)
    return EntityType(name, f"Custom Entity {number}", "code", kind.fields, needs_project=True)


def _of_the_site(name: str) -> EntityType:
    label = f"Custom Non Project Entity {name[-2:]}"
    return entity_type(name, label, "code", text("code", "description"), status("wtg"))


def entity_types() -> list[EntityType]:
    """Return all entity types of a fresh sandbox site, each with its own dict of fields."""
    custom = [*map(_custom, CUSTOM_TYPES), *map(_of_the_site, SITE_TYPES)]
    return [*_people(), *_production(), *_media(), *_talk(), *custom, _event_log_entry()]

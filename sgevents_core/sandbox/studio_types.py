"""The entity types of the sandbox site: those that a studio uses daily, and a few of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sgevents_core.sandbox.entity_schema import EntityType, Field
from sgevents_core.sandbox.field_builders import (
    USER_TYPES,
    link_field,
    make_entity_type,
    multi_link_field,
    plain_fields,
    status_field,
    text_fields,
)
from sgevents_core.sandbox.records import SCRIPT_VERSION_FIELD
from sgevents_core.scripts import LOGS

CUSTOM_TYPES: Final = tuple(f"CustomEntity{number:02d}" for number in range(1, 31))
SITE_WIDE_TYPES: Final = tuple(f"CustomNonProjectEntity{number:02d}" for number in range(1, 16))
"""Types of a studio's own that belong to no project."""

REVIEWED_TYPES: Final = ("Shot", "Asset", "Sequence", *CUSTOM_TYPES)
"""Entity types whose records have versions."""


def _production_type(type_name: str, *more_fields: list[Field]) -> EntityType:
    """Return an entity type of production: it has a project, a status, tasks, notes, versions."""
    return make_entity_type(
        type_name,
        type_name,
        "code",
        text_fields("code", "description"),
        link_field("project", "Project"),
        status_field("wtg"),
        multi_link_field("tasks", "Task", back_field="entity"),
        multi_link_field("notes", "Note", back_field="note_links"),
        multi_link_field("sg_versions", "Version", back_field="entity"),
        *more_fields,
    )


def _event_log_type() -> EntityType:
    log_fields = [
        Field("id", "number", "Id", editable=False),
        Field("type", "entity_type", "Type", editable=False),
        *text_fields("event_type", "attribute_name", "description"),
        Field("cached_display_name", "text", "Cached Display Name", editable=False),
        *plain_fields("serializable", "meta"),
        *link_field("entity"),
        *link_field("project", "Project"),
        *link_field("user", *USER_TYPES),
        Field("created_at", "date_time", "Date Created", editable=False),
        *plain_fields("uuid", "session_uuid"),
        *plain_fields("image", "image", "filmstrip_image"),
    ]
    fields_by_name = {field.name: field for field in log_fields}
    return EntityType("EventLogEntry", "Event Log Entry", "event_type", fields_by_name)


def _person_types() -> list[EntityType]:
    return [
        make_entity_type(
            "HumanUser",
            "Person",
            "name",
            text_fields("name", "firstname", "lastname", "login", "email"),
            status_field("act"),
            link_field("department", "Department"),
            multi_link_field("projects", "Project", back_field="users"),
            multi_link_field("groups", "Group", back_field="users"),
        ),
        make_entity_type(
            "ApiUser",
            "Script",
            "firstname",
            text_fields("firstname", "description", "email"),
            plain_fields("text", SCRIPT_VERSION_FIELD, default="1.0"),
            plain_fields("checkbox", LOGS, default=False),
        ),
        make_entity_type(
            "ClientUser", "Client User", "name", text_fields("name", "email"), status_field("act")
        ),
        make_entity_type(
            "Group",
            "Group",
            "code",
            text_fields("code"),
            multi_link_field("users", "HumanUser", back_field="groups"),
        ),
        make_entity_type("Department", "Department", "name", text_fields("name", "code")),
    ]


def _project_type() -> EntityType:
    return make_entity_type(
        "Project",
        "Project",
        "name",
        text_fields("name", "code", "sg_description"),
        plain_fields("list", "sg_status", default="Active"),
        plain_fields("checkbox", "archived", "is_demo", "is_template", default=False),
        plain_fields("date", "start_date", "end_date"),
        multi_link_field("users", "HumanUser", back_field="projects"),
    )


def _sequence_type() -> EntityType:
    return _production_type(
        "Sequence",
        multi_link_field("shots", "Shot", back_field="sg_sequence"),
        multi_link_field("assets", "Asset", back_field="sequences"),
    )


def _shot_type() -> EntityType:
    return _production_type(
        "Shot",
        link_field("sg_sequence", "Sequence", back_field="shots"),
        multi_link_field("assets", "Asset", back_field="shots"),
        plain_fields("list", "sg_shot_type"),
        plain_fields("number", "sg_cut_in", "sg_cut_out", "sg_cut_duration", "sg_cut_order"),
        plain_fields("number", "sg_head_in", "sg_tail_out"),
        plain_fields("checkbox", "sg_vfx", default=False),
        plain_fields("float", "sg_lens"),
    )


def _asset_type() -> EntityType:
    return _production_type(
        "Asset",
        plain_fields("list", "sg_asset_type"),
        multi_link_field("shots", "Shot", back_field="assets"),
        multi_link_field("sequences", "Sequence", back_field="assets"),
        multi_link_field("parents", "Asset", back_field="assets"),
        multi_link_field("assets", "Asset", back_field="parents"),
    )


def _step_type() -> EntityType:
    return make_entity_type(
        "Step",
        "Pipeline Step",
        "code",
        text_fields("code", "short_name", "description"),
        plain_fields("entity_type", "entity_type"),
        plain_fields("color", "color"),
        plain_fields("number", "list_order"),
    )


def _production_types() -> list[EntityType]:
    return [
        _project_type(),
        _sequence_type(),
        _shot_type(),
        _asset_type(),
        _task_type(),
        _step_type(),
        make_entity_type(
            "Status",
            "Status",
            "name",
            text_fields("code", "name"),
            plain_fields("color", "bg_color"),
        ),
        make_entity_type("Tag", "Tag", "name", text_fields("name")),
    ]


def _task_type() -> EntityType:
    return make_entity_type(
        "Task",
        "Task",
        "content",
        text_fields("content", "sg_description"),
        link_field("project", "Project"),
        link_field("entity", "Shot", "Asset", "Sequence", *CUSTOM_TYPES, back_field="tasks"),
        link_field("step", "Step"),
        status_field("wtg"),
        multi_link_field("task_assignees", "HumanUser", "Group", label="Assigned To"),
        plain_fields("date", "start_date", "due_date"),
        plain_fields("duration", "duration", "est_in_mins"),
        plain_fields("percent", "time_percent_of_est"),
        plain_fields("checkbox", "milestone", default=False),
        plain_fields("color", "color", default="pipeline_step"),
        plain_fields("number", "sg_sort_order"),
        multi_link_field("sg_versions", "Version", back_field="sg_task"),
        multi_link_field("upstream_tasks", "Task", back_field="downstream_tasks"),
        multi_link_field("downstream_tasks", "Task", back_field="upstream_tasks"),
    )


def _version_type() -> EntityType:
    return make_entity_type(
        "Version",
        "Version",
        "code",
        text_fields("code", "description", "sg_path_to_movie", "sg_path_to_frames"),
        link_field("project", "Project"),
        link_field("entity", *REVIEWED_TYPES, back_field="sg_versions"),
        link_field("sg_task", "Task", back_field="sg_versions"),
        link_field("user", *USER_TYPES),
        status_field("rev"),
        plain_fields("number", "frame_count", "sg_first_frame", "sg_last_frame"),
        plain_fields("checkbox", "client_approved", "flagged", default=False),
        plain_fields("url", "sg_uploaded_movie"),
        multi_link_field("playlists", "Playlist", back_field="versions"),
        multi_link_field("notes", "Note", back_field="note_links"),
        multi_link_field("published_files", "PublishedFile", back_field="version"),
    )


def _published_file_type() -> EntityType:
    return make_entity_type(
        "PublishedFile",
        "Published File",
        "code",
        text_fields("code", "name", "description"),
        link_field("project", "Project"),
        link_field("entity", *REVIEWED_TYPES),
        link_field("version", "Version", back_field="published_files"),
        link_field("task", "Task"),
        status_field("wtg"),
        plain_fields("number", "version_number"),
        plain_fields("url", "path"),
    )


def _playlist_type() -> EntityType:
    return make_entity_type(
        "Playlist",
        "Playlist",
        "code",
        text_fields("code", "description"),
        link_field("project", "Project"),
        plain_fields("date_time", "sg_date_and_time"),
        plain_fields("checkbox", "locked", default=False),
        multi_link_field("versions", "Version", back_field="playlists"),
    )


def _attachment_type() -> EntityType:
    return make_entity_type(
        "Attachment",
        "File",
        "display_name",
        text_fields("display_name", "filename", "description"),
        link_field("project", "Project"),
        multi_link_field("attachment_links"),
        plain_fields("url", "this_file"),
    )


def _media_types() -> list[EntityType]:
    return [_version_type(), _published_file_type(), _playlist_type(), _attachment_type()]


def _note_type() -> EntityType:
    return make_entity_type(
        "Note",
        "Note",
        "subject",
        text_fields("subject", "content"),
        link_field("project", "Project"),
        link_field("user", *USER_TYPES),
        multi_link_field(
            "note_links", "Shot", "Asset", "Sequence", "Version", *CUSTOM_TYPES, back_field="notes"
        ),
        multi_link_field("tasks", "Task"),
        [Field("addressings_to", "addressing", "To", ("HumanUser", "Group"), default=())],
        [Field("addressings_cc", "addressing", "CC", ("HumanUser", "Group"), default=())],
        status_field("opn"),
        plain_fields("list", "sg_note_type"),
        multi_link_field("replies", "Reply", back_field="entity"),
        plain_fields("checkbox", "client_note", default=False),
    )


def _reply_type() -> EntityType:
    return make_entity_type(
        "Reply",
        "Reply",
        "content",
        text_fields("content"),
        link_field("entity", "Note", back_field="replies"),
        link_field("user", *USER_TYPES),
    )


def _time_log_type() -> EntityType:
    return make_entity_type(
        "TimeLog",
        "Time Log",
        "description",
        text_fields("description"),
        link_field("project", "Project"),
        link_field("entity", "Task"),
        link_field("user", *USER_TYPES),
        plain_fields("date", "date"),
        plain_fields("duration", "duration"),
    )


def _discussion_types() -> list[EntityType]:
    return [
        _note_type(),
        _reply_type(),
        _time_log_type(),
        make_entity_type(
            "DisplayColumn",
            "Display Column",
            "name",
            text_fields("name"),
            plain_fields("entity_type", "entity_type"),
        ),
    ]


def _custom_type(type_name: str) -> EntityType:
    label = f"Custom Entity {type_name.removeprefix('CustomEntity')}"
    return replace(_production_type(type_name), label=label, needs_project=True)


def _site_wide_type(type_name: str) -> EntityType:
    type_label = f"Custom Non Project Entity {type_name[-2:]}"
    return make_entity_type(
        type_name, type_label, "code", text_fields("code", "description"), status_field("wtg")
    )


def studio_types() -> list[EntityType]:
    """Return all entity types of a fresh sandbox site, each with its own dict of fields."""
    custom_types = [*map(_custom_type, CUSTOM_TYPES), *map(_site_wide_type, SITE_WIDE_TYPES)]
    return [
        *_person_types(),
        *_production_types(),
        *_media_types(),
        *_discussion_types(),
        *custom_types,
        _event_log_type(),
    ]

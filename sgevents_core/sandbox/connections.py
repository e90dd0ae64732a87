"""Connections: the rows behind fields with several links, such as a playlist's versions.

A link creates one and its end retires it. A row of a connection that is created, retired or revived
creates and ends the link in turn.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sgevents_core.sandbox.records import EntityRef, Record, Records


class Connection(NamedTuple):
    """A connection, seen from one of its two sides.

    Args:
        entity_type: Its entity type.
        here_field: Its field with the side whose field links.
        there_field: Its field with the linked record.
        is_logged: Whether its rows are written to the log.
    """

    entity_type: str
    here_field: str
    there_field: str
    is_logged: bool = False


class LinkFields(NamedTuple):
    """The fields of the two types that a connection represents."""

    entity_type: str
    field_name: str
    back_type: str
    back_field: str


_CONNECTIONS_BY_LINK: Final = {
    LinkFields("Playlist", "versions", "Version", "playlists"): Connection(
        "PlaylistVersionConnection", "playlist", "version"
    ),
    LinkFields("Asset", "shots", "Shot", "assets"): Connection(
        "AssetShotConnection", "asset", "shot"
    ),
    LinkFields("Asset", "sequences", "Sequence", "assets"): Connection(
        "AssetSequenceConnection", "asset", "sequence"
    ),
    LinkFields("Asset", "assets", "Asset", "parents"): Connection(
        "AssetAssetConnection", "parent", "asset"
    ),
    LinkFields("Shot", "shots", "Shot", "parent_shots"): Connection(
        "ShotShotConnection", "parent_shot", "shot"
    ),
    LinkFields("Element", "shots", "Shot", "elements"): Connection(
        "ElementShotConnection", "element", "shot"
    ),
    LinkFields("Group", "users", "HumanUser", "groups"): Connection(
        "GroupUserConnection", "group", "user"
    ),
    LinkFields("Project", "users", "HumanUser", "projects"): Connection(
        "ProjectUserConnection", "project", "user"
    ),
    LinkFields("Task", "upstream_tasks", "Task", "downstream_tasks"): Connection(
        "TaskDependency", "task", "dependent_task", is_logged=True
    ),
}

CONNECTIONS_BY_FIELD: Final = {
    **{
        (side.entity_type, side.field_name): connection
        for side, connection in _CONNECTIONS_BY_LINK.items()
    },
    **{
        (side.back_type, side.back_field): connection._replace(
            here_field=connection.there_field, there_field=connection.here_field
        )
        for side, connection in _CONNECTIONS_BY_LINK.items()
    },
}
"""Entity type and field -> the connection behind it, seen from that side."""

CONNECTIONS_BY_TYPE: Final = {
    connection.entity_type: (side, connection) for side, connection in _CONNECTIONS_BY_LINK.items()
}
"""Type of connection -> the side through which it is written."""


def find_connection_record(
    records: Records, connection: Connection, here_ref: EntityRef, there_ref: EntityRef
) -> Record | None:
    """Return the live row that connects two records, or None."""
    for row in records.connections_of(here_ref):
        ends = (row.values.get(connection.here_field), row.values.get(connection.there_field))
        if row.type == connection.entity_type and ends == (here_ref, there_ref) and not row.retired:
            return row
    return None

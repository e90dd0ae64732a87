"""Connections: the rows behind fields with several links, such as a playlist's versions.

A link creates one and its end retires it. A row of a connection that is created, retired or revived
creates and ends the link in turn.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sgevents_core.sandbox.records import Record, Records, Ref


class Connection(NamedTuple):
    """A connection, seen from one of its two sides.

    Args:
        entity_type: Its entity type.
        here: Its field with the side whose field links.
        there: Its field with the linked record.
        logged: Whether its rows are written to the log.
    """

    entity_type: str
    here: str
    there: str
    logged: bool = False


class Side(NamedTuple):
    """The fields of the two types that a connection represents."""

    entity_type: str
    field: str
    back_type: str
    back: str


_PAIRS: Final = {
    Side("Playlist", "versions", "Version", "playlists"): Connection(
        "PlaylistVersionConnection", "playlist", "version"
    ),
    Side("Asset", "shots", "Shot", "assets"): Connection("AssetShotConnection", "asset", "shot"),
    Side("Asset", "sequences", "Sequence", "assets"): Connection(
        "AssetSequenceConnection", "asset", "sequence"
    ),
    Side("Asset", "assets", "Asset", "parents"): Connection(
        "AssetAssetConnection", "parent", "asset"
    ),
    Side("Shot", "shots", "Shot", "parent_shots"): Connection(
        "ShotShotConnection", "parent_shot", "shot"
    ),
    Side("Element", "shots", "Shot", "elements"): Connection(
        "ElementShotConnection", "element", "shot"
    ),
    Side("Group", "users", "HumanUser", "groups"): Connection(
        "GroupUserConnection", "group", "user"
    ),
    Side("Project", "users", "HumanUser", "projects"): Connection(
        "ProjectUserConnection", "project", "user"
    ),
    Side("Task", "upstream_tasks", "Task", "downstream_tasks"): Connection(
        "TaskDependency", "task", "dependent_task", logged=True
    ),
}

BEHIND: Final = {
    **{(side.entity_type, side.field): one for side, one in _PAIRS.items()},
    **{
        (side.back_type, side.back): one._replace(here=one.there, there=one.here)
        for side, one in _PAIRS.items()
    },
}
"""Entity type and field -> the connection behind it, seen from that side."""

SIDES: Final = {one.entity_type: (side, one) for side, one in _PAIRS.items()}
"""Type of connection -> the side through which it is written."""


def connecting(records: Records, one: Connection, here: Ref, there: Ref) -> Record | None:
    """Return the live row that connects two records, or None."""
    for row in records.connected(here):
        ends = (row.values.get(one.here), row.values.get(one.there))
        if row.type == one.entity_type and ends == (here, there) and not row.retired:
            return row
    return None

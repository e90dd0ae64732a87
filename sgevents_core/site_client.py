"""The type of `ctx.sg`: what shotgun_api3's client takes and gives, for type checkers and editors.

The client has more than these methods; they are there at run time, and a `cast` reaches them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

Record: TypeAlias = dict[str, Any]
"""A record as the client returns it: its type, its id and the fields asked for."""
Filters: TypeAlias = Sequence[Any] | Mapping[str, Any]
"""Conditions such as `["id", "is", 7]`, and groups of them with a `filter_operator`."""


class SiteClient(Protocol):
    """A connection to the site, with the plugin's own credentials."""

    @property
    def base_url(self) -> str:
        """The site's address."""

    def find(
        self,
        entity_type: str,
        filters: Filters,
        fields: Iterable[str] | None = None,
        order: Sequence[Mapping[str, str]] | None = None,
        filter_operator: str | None = None,
        limit: int = 0,
        retired_only: bool = False,
        page: int = 0,
        include_archived_projects: bool = True,
        additional_filter_presets: Sequence[Mapping[str, Any]] | None = None,
    ) -> list[Record]:
        """Return the records that meet the filters, with these fields."""

    def find_one(
        self,
        entity_type: str,
        filters: Filters,
        fields: Iterable[str] | None = None,
        order: Sequence[Mapping[str, str]] | None = None,
        filter_operator: str | None = None,
        retired_only: bool = False,
        include_archived_projects: bool = True,
        additional_filter_presets: Sequence[Mapping[str, Any]] | None = None,
    ) -> Record | None:
        """Return the first record that meets the filters, or None."""

    def create(
        self, entity_type: str, data: dict[str, Any], return_fields: list[str] | None = None
    ) -> Record:
        """Create a record, and return it."""

    def update(
        self,
        entity_type: str,
        entity_id: int,
        data: dict[str, Any],
        multi_entity_update_modes: dict[str, Any] | None = None,
    ) -> Record:
        """Set fields of a record."""

    def delete(self, entity_type: str, entity_id: int) -> bool:
        """Retire a record; return False if it was retired already."""

    def revive(self, entity_type: str, entity_id: int) -> bool:
        """Bring a retired record back; return False if it was not retired."""

    def batch(self, requests: list[dict[str, Any]]) -> list[Any]:
        """Make several creations, updates and deletions, all of them or none."""

    def summarize(
        self,
        entity_type: str,
        filters: Filters,
        summary_fields: Sequence[Mapping[str, str]],
        filter_operator: str | None = None,
        grouping: Sequence[Mapping[str, str]] | None = None,
        include_archived_projects: bool = True,
    ) -> dict[str, Any]:
        """Return counts, sums and the like of records."""

    def upload(
        self,
        entity_type: str,
        entity_id: int,
        path: str,
        field_name: str | None = None,
        display_name: str | None = None,
        tag_list: str | None = None,
        created_at: Any = None,
    ) -> int:
        """Upload a file to a field of a record; return the attachment's id."""

    def upload_thumbnail(self, entity_type: str, entity_id: int, path: str, **kwargs: Any) -> int:
        """Upload an image as the thumbnail of a record."""

    def download_attachment(
        self,
        attachment: Any = False,
        file_path: str | None = None,
        attachment_id: int | None = None,
    ) -> Any:
        """Download a file to a path, or return its content."""

    def schema_field_read(
        self,
        entity_type: str,
        field_name: str | None = None,
        project_entity: Mapping[str, Any] | None = None,
    ) -> dict[str, dict[str, Any]]:
        """Return the schema of the fields of a type."""

    def schema_read(
        self, project_entity: Mapping[str, Any] | None = None
    ) -> dict[str, dict[str, Any]]:
        """Return the schema of all fields of all types."""

    def follow(self, user: Mapping[str, Any], entity: Mapping[str, Any]) -> dict[str, Any]:
        """Let a person follow a record."""

    def unfollow(self, user: Mapping[str, Any], entity: Mapping[str, Any]) -> dict[str, Any]:
        """Let a person no longer follow a record."""

    def followers(self, entity: Mapping[str, Any]) -> list[Record]:
        """Return who follows a record."""

    def note_thread_read(
        self, note_id: int, entity_fields: dict[str, list[str]] | None = None
    ) -> list[Record]:
        """Return a note, its replies and its attachments."""

    def text_search(
        self,
        text: str,
        entity_types: dict[str, Any],
        project_ids: Sequence[int] | None = None,
        limit: int | None = None,
    ) -> dict[str, Any]:
        """Search records by text."""

    def work_schedule_read(
        self,
        start_date: str,
        end_date: str,
        project: Mapping[str, Any] | None = None,
        user: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return which days are worked, and why."""

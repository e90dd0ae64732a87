"""EventBuilder: events as a site writes them, of every type and with every trap of the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from sgevents_core.events import Event
from sgevents_core.testing.links import Link, data_type_of, value_of
from sgevents_core.testing.row_building import About, RowBuilder, attribute_change

if TYPE_CHECKING:
    from typing_extensions import Unpack

_SET_BY_A_SITE: Final = {"color": "pipeline_step", "sg_sort_order": 1, "sg_status_list": "wtg"}
"""Fields of a task that are set by the site, and have a row nevertheless."""


class EventBuilder(RowBuilder):
    """A builder of events as a site writes them; ids and times ascend.

    A record is given as its type, `"Shot"`, if any record of that type will do, or as a mapping
    with its type and id: what `record` returns, or the client, or a sandbox.

    Args:
        first_id: The id of the first event.
        at: When it happened; an aware datetime.
        project: The project that records are in; a new one if left out.
        user: Who does it; a new person if left out.
    """

    # What happens to records

    def new(self, record: str | Link, **about: Unpack[About]) -> Event:
        """Return the event of a created record: `Shotgun_<EntityType>_New`."""
        return self._happened(record, "New", "new_entity", about)

    def creation(
        self, record: str | Link, values: Mapping[str, Any], **about: Unpack[About]
    ) -> list[Event]:
        """Return the events of a creation with values: `_New`, and a `_Change` for each value."""
        link = self._link(record)
        first = self.new(link, **about)
        rest = {key: value for key, value in about.items() if key != "id"}
        changes = [
            self._changed(
                link,
                name,
                data_type_of(name, value),
                {"old_value": None, "new_value": value_of(value)},
                in_create=True,
                about=cast("About", rest),
            )
            for name, value in values.items()
        ]
        return [first, *changes]

    def change(
        self,
        record: str | Link,
        attribute: str,
        old: Any,
        new: Any,
        *,
        in_create: bool = False,
        data_type: str | None = None,
        **about: Unpack[About],
    ) -> Event:
        """Return the event of a changed field: `Shotgun_<EntityType>_Change`.

        Args:
            record: The record.
            attribute: The field's name.
            old: The old value.
            new: The new value; for a field with several entities, see `multi_change`.
            in_create: Whether it was set while the record was created.
            data_type: The field's type, such as `"text"`; guessed from name and value.
            about: See `About`.
        """
        values = {"old_value": value_of(old), "new_value": value_of(new)}
        kind = data_type or data_type_of(attribute, old if new is None else new)
        return self._changed(record, attribute, kind, values, in_create=in_create, about=about)

    def multi_change(
        self,
        record: str | Link,
        attribute: str,
        *,
        added: Iterable[Link] = (),
        removed: Iterable[Link] = (),
        in_create: bool = False,
        **about: Unpack[About],
    ) -> Event:
        """Return the event of a changed multi-entity field: `added` and `removed`, no values."""
        values = {"added": value_of(list(added)), "removed": value_of(list(removed))}
        kind = "multi_entity"
        return self._changed(record, attribute, kind, values, in_create=in_create, about=about)

    def back_reference(
        self, original: Event, record: str | Link, attribute: str, **about: Unpack[About]
    ) -> Event:
        """Return the event of a field that changed only because `original` set a linked field.

        Its `meta` names the record of `original`, as a site's does.

        Args:
            original: The change of the field that was set, such as `Task.entity`.
            record: The record at the other end, such as the shot.
            attribute: Its field that lists the other record, such as `tasks`.
            about: See `About`.
        """
        source = {"type": original.entity_type, "id": original.entity_id, "name": "source"}
        meta = {
            "entity_type": original.entity_type,
            "entity_id": original.entity_id,
            "added": value_of([original.entity or source]),
            "removed": [],
            "actual_attribute_changed": f"{original.entity_type}.{original.attribute}",
            "original_event_log_entry_id": original.id,
        }
        kind = original.meta.get("field_data_type", "entity")
        in_create = original.in_create
        return self._changed(record, attribute, kind, meta, in_create=in_create, about=about)

    def retirement(self, record: str | Link, **about: Unpack[About]) -> Event:
        """Return the event of a deleted record: `Shotgun_<EntityType>_Retirement`, with no link."""
        about.setdefault("retired", True)
        return self._happened(record, "Retirement", "entity_retirement", about, described=True)

    def deletion(self, record: str | Link, **about: Unpack[About]) -> tuple[Event, Event]:
        """Return both events of a deleted record: the retirement, and a change of its date."""
        link, at = self._link(record), about.get("at", self._at)
        first = self.retirement(link, **about)
        about.pop("id", None)
        about.setdefault("retired", True)
        return first, self.change(link, "retirement_date", None, at, **about)

    def template_tasks(
        self,
        record: str | Link,
        template: str | Link = "TaskTemplate",
        *,
        tasks: Iterable[str] = ("layout", "comp"),
        **about: Unpack[About],
    ) -> list[Event]:
        """Return all events of applying a task template, credited to the person who applied it.

        Only `template_task` distinguishes such a task from one made by hand.

        Args:
            record: The record it was applied to, such as a shot.
            template: The template.
            tasks: The names of its tasks.
            about: See `About`; without `id`.
        """
        link = self._link(record)
        rows = [self.change(link, "task_template", None, self._link(template), **about)]
        for name in tasks:
            rows += self._template_task(link, name, about)
        return rows

    def _template_task(self, link: Link, name: str, about: About) -> list[Event]:
        task, source = self.record("Task", name=name), self.record("Task", name=name)
        values = {"content": name, "entity": link, **_SET_BY_A_SITE, "template_task": source}
        rows = [self.new(task, **about)]
        for attribute, value in values.items():
            rows.append(self.change(task, attribute, None, value, in_create=True, **about))
        (linked,) = [row for row in rows if row.attribute == "entity"]
        return [*rows, self.back_reference(linked, link, "tasks", **about)]

    def revival(self, record: str | Link, **about: Unpack[About]) -> Event:
        """Return the event of a restored record: `Shotgun_<EntityType>_Revival`."""
        return self._happened(record, "Revival", "entity_revival", about, described=True)

    def thumbnail(
        self, record: str | Link = "Version", **about: Unpack[About]
    ) -> tuple[Event, Event]:
        """Return both events of a thumbnail: while it is being made, and when it is ready.

        The values are ids of pictures.
        """
        link = self._link(record)
        picture = self.record("Thumbnail")["id"]
        first = self._thumbnail(link, picture, about, transient=True)
        about.pop("id", None)
        return first, self._thumbnail(link, picture, about, transient=False)

    def _thumbnail(self, link: Link, picture: int, about: About, *, transient: bool) -> Event:
        values = {"old_value": None, "new_value": picture, "is_transient": transient}
        return self._changed(link, "image", "image", values, in_create=False, about=about)

    def reading(self, record: str | Link = "Note", **about: Unpack[About]) -> Event:
        """Return the event of a record being read: `Shotgun_Reading_Change`, without its type."""
        name, values = "read_by_current_user", {"old_value": None, "new_value": "read"}
        reading = self.record("Reading")
        meta = attribute_change(name, "list", values)
        meta = {**meta, "entity_type": "Reading", "entity_id": reading["id"]}
        return self._row("Shotgun_Reading_Change", meta, about, record, attribute=name)

    # Application behaviour

    def playlist_share(
        self, playlist: str | Link = "Playlist", *, revoked: bool = False, **about: Unpack[About]
    ) -> Event:
        """Return the event of a playlist shared for client review, or of a revoked share."""
        action = "Revoke" if revoked else "Create"
        meta = {"type": "share", "shared_with": [] if revoked else ["client"]}
        return self._row(f"CRS_PlaylistShare_{action}", meta, about, playlist)

    def attachment_view(self, record: str | Link = "Version", **about: Unpack[About]) -> Event:
        """Return the event of a viewed file: `Shotgun_Attachment_View`."""
        return self._row("Shotgun_Attachment_View", {"type": "view"}, about, record)

    def version_view(
        self,
        version: str | Link = "Version",
        *,
        page: str | Link = "Page",
        **about: Unpack[About],
    ) -> Event:
        """Return the event of a viewed version: `Shotgun_Version_View`; it has no hook.

        The row links the page on which it was viewed; the version is in `meta`.
        """
        link = self._link(version)
        meta = {"link_entity_type": link["type"], "link_entity_id": link["id"]}
        return self._row("Shotgun_Version_View", meta, about, page)

    def preference(self, pref: str, old: Any, new: Any, **about: Unpack[About]) -> Event:
        """Return the event of a changed site preference; its `meta` has `pref`, `old` and `new`."""
        meta = {"pref": pref, "old": value_of(old), "new": value_of(new)}
        return self._without_project("Shotgun_Preferences_Change", meta, about)

    def page_setting(
        self,
        page: str | Link | None = "Page",
        *,
        setting: str = "columns",
        **about: Unpack[About],
    ) -> Event:
        """Return the event of a changed page layout; `meta` names the settings, without values.

        Args:
            page: The page, or None, since sites often leave it out.
            setting: The setting of a list on the page that changed.
            about: See `About`.
        """
        path = ["body", "list_content"]
        change = {"path": path, "type": "SG.Widget.NewGrid", "setting": setting}
        said = f"On Grid changed {setting}"
        meta = {"type": "page_setting_change", "changes": [change], "friendly_changes": said}
        return self._row("Shotgun_PageSetting_Change", meta, about, page)

    def big_query(self, *, rows: int = 12_000, **about: Unpack[About]) -> Event:
        """Return the event of a query with very many records: `Shotgun_Big_Query`."""
        return self._without_project("Shotgun_Big_Query", {"rows": rows, "seconds": 41.5}, about)

    def display_column_delete(
        self, entity_type: str = "Shot", name: str = "sg_old", **about: Unpack[About]
    ) -> Event:
        """Return the event of a field deleted from the schema: `Shotgun_DisplayColumn_Delete`."""
        meta = {"entity_type": entity_type, "name": name}
        return self._without_project("Shotgun_DisplayColumn_Delete", meta, about)

    def notes_app_summary_email(
        self, playlist: str | Link = "Playlist", *, recipients: int = 3, **about: Unpack[About]
    ) -> Event:
        """Return the event of a mailed summary of notes: `Shotgun_NotesApp_Summary_Email`."""
        meta = {"type": "email", "recipients": recipients}
        return self._row("Shotgun_NotesApp_Summary_Email", meta, about, playlist)

    def login(self, **about: Unpack[About]) -> Event:
        """Return the event of a login: `Shotgun_User_Login`, without a project."""
        who = about.get("user", self.user)
        return self._without_project("Shotgun_User_Login", {"type": "login"}, about, who)

    def logout(self, **about: Unpack[About]) -> Event:
        """Return the event of a logout: `Shotgun_User_Logout`, without a project."""
        return self._without_project("Shotgun_User_Logout", {"type": "logout"}, about)

    def failed_login(self, **about: Unpack[About]) -> Event:
        """Return the event of a refused login: `Shotgun_User_FailedLogin`, with no user or meta."""
        about.setdefault("user", None)
        about.setdefault("session_uuid", None)
        return self._without_project("Shotgun_User_FailedLogin", None, about)

    def app_launch(self, app: str = "tk-desktop", **about: Unpack[About]) -> Event:
        """Return the event of an application launched from Toolkit: `Toolkit_Desktop_AppLaunch`."""
        meta = {"app": app, "version": "v2.7.1"}
        return self._without_project("Toolkit_Desktop_AppLaunch", meta, about)

    def project_launch(self, engine: str = "tk-maya", **about: Unpack[About]) -> Event:
        """Return the event of a project opened in Toolkit: `Toolkit_Desktop_ProjectLaunch`."""
        meta = {"engine": engine, "version": "v0.13"}
        return self._row("Toolkit_Desktop_ProjectLaunch", meta, about, self.project)

    def other(
        self, event_type: str, record: str | Link | None = None, **about: Unpack[About]
    ) -> Event:
        """Return any other event: `ClientLogin_Failed`, a studio's own type; `meta=` sets its meta.

        Args:
            event_type: Its type, with any number of underscores.
            record: The record it is about, if any.
            about: See `About`.
        """
        meta: dict[str, Any] | None = {} if "meta" in about else None
        if record is None:
            return self._without_project(event_type, meta, about)
        return self._row(event_type, meta, about, record)

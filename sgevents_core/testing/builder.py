"""EventBuilder: makes events of every type, as a site writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from sgevents_core.events import Event
from sgevents_core.testing.links import Link, guess_data_type, logged_value
from sgevents_core.testing.row_building import EventOptions, RowBuilder, attribute_change

if TYPE_CHECKING:
    from typing_extensions import Unpack

_TASK_DEFAULTS: Final = {"color": "pipeline_step", "sg_sort_order": 1, "sg_status_list": "wtg"}
"""Task fields that the site sets on its own, writing a row for each."""


class EventBuilder(RowBuilder):
    """A builder of events as a site writes them; ids and times ascend.

    A record is given as its type, `"Shot"`, if any record of that type will do, or as a mapping
    with its type and id, as `record`, the client and a sandbox return it.

    Args:
        first_id: The id of the first event.
        at: When it happened; an aware datetime.
        project: The project of the records; a new one if left out.
        user: The user of the events; a new person if left out.
    """

    # Changes of records

    def new(self, record: str | Link, **options: Unpack[EventOptions]) -> Event:
        """Return the event of a created record: `Shotgun_<EntityType>_New`."""
        return self._record_event(record, "New", "new_entity", options)

    def creation(
        self, record: str | Link, values: Mapping[str, Any], **options: Unpack[EventOptions]
    ) -> list[Event]:
        """Return the events of a creation with values: `_New`, and a `_Change` for each value."""
        link = self._link(record)
        first = self.new(link, **options)
        common_options = {key: value for key, value in options.items() if key != "id"}
        change_events = [
            self._field_event(
                link,
                field_name,
                guess_data_type(field_name, value),
                {"old_value": None, "new_value": logged_value(value)},
                in_create=True,
                options=cast("EventOptions", common_options),
            )
            for field_name, value in values.items()
        ]
        return [first, *change_events]

    def change(
        self,
        record: str | Link,
        attribute: str,
        old: Any,
        new: Any,
        *,
        in_create: bool = False,
        data_type: str | None = None,
        **options: Unpack[EventOptions],
    ) -> Event:
        """Return the event of a changed field: `Shotgun_<EntityType>_Change`.

        Args:
            record: The record.
            attribute: The field's name.
            old: The old value.
            new: The new value; for a field with several entities, see `multi_change`.
            in_create: Whether it was set while the record was created.
            data_type: The field's type, such as `"text"`; guessed from name and value.
            options: See `EventOptions`.
        """
        values = {"old_value": logged_value(old), "new_value": logged_value(new)}
        field_type = data_type or guess_data_type(attribute, old if new is None else new)
        return self._field_event(
            record, attribute, field_type, values, in_create=in_create, options=options
        )

    def multi_change(
        self,
        record: str | Link,
        attribute: str,
        *,
        added: Iterable[str | Link] = (),
        removed: Iterable[str | Link] = (),
        in_create: bool = False,
        **options: Unpack[EventOptions],
    ) -> Event:
        """Return the event of a changed multi-entity field: `added` and `removed`, no values."""
        values = {
            "added": logged_value([self._link(link) for link in added]),
            "removed": logged_value([self._link(link) for link in removed]),
        }
        field_type = "multi_entity"
        return self._field_event(
            record, attribute, field_type, values, in_create=in_create, options=options
        )

    def back_reference(
        self, original: Event, record: str | Link, attribute: str, **options: Unpack[EventOptions]
    ) -> Event:
        """Return the event of a field that changed only because `original` set a linked field.

        Its `meta` names the record of `original`, as a site's does.

        Args:
            original: The change of the field that was set, such as `Task.entity`.
            record: The record at the other end, such as the shot.
            attribute: Its field that lists the other record, such as `tasks`.
            options: See `EventOptions`.
        """
        source_link = {"type": original.entity_type, "id": original.entity_id, "name": "source"}
        meta = {
            "entity_type": original.entity_type,
            "entity_id": original.entity_id,
            "added": logged_value([original.entity or source_link]),
            "removed": [],
            "actual_attribute_changed": f"{original.entity_type}.{original.attribute}",
            "original_event_log_entry_id": original.id,
        }
        field_type = original.meta.get("field_data_type", "entity")
        in_create = original.in_create
        return self._field_event(
            record, attribute, field_type, meta, in_create=in_create, options=options
        )

    def retirement(self, record: str | Link, **options: Unpack[EventOptions]) -> Event:
        """Return the event of a deleted record: `Shotgun_<EntityType>_Retirement`, with no link."""
        options.setdefault("retired", True)
        return self._record_event(
            record, "Retirement", "entity_retirement", options, described=True
        )

    def deletion(self, record: str | Link, **options: Unpack[EventOptions]) -> tuple[Event, Event]:
        """Return both events of a deleted record: the retirement, and a change of its date."""
        link, retired_at = self._link(record), options.get("at", self._next_time)
        first = self.retirement(link, **options)
        options.pop("id", None)
        options.setdefault("retired", True)
        return first, self.change(link, "retirement_date", None, retired_at, **options)

    def template_tasks(
        self,
        record: str | Link,
        template: str | Link = "TaskTemplate",
        *,
        tasks: Iterable[str] = ("layout", "comp"),
        **options: Unpack[EventOptions],
    ) -> list[Event]:
        """Return all events of applying a task template, credited to the person who applied it.

        Only `template_task` distinguishes such a task from one made by hand.

        Args:
            record: The record it was applied to, such as a shot.
            template: The template.
            tasks: The names of its tasks.
            options: See `EventOptions`; without `id`.
        """
        link = self._link(record)
        events = [self.change(link, "task_template", None, self._link(template), **options)]
        for task_name in tasks:
            events += self._template_task_events(link, task_name, options)
        return events

    def _template_task_events(
        self, link: Link, task_name: str, options: EventOptions
    ) -> list[Event]:
        task, template_source = (
            self.record("Task", name=task_name),
            self.record("Task", name=task_name),
        )
        values = {
            "content": task_name,
            "entity": link,
            **_TASK_DEFAULTS,
            "template_task": template_source,
        }
        events = [self.new(task, **options)]
        for attribute, value in values.items():
            events.append(self.change(task, attribute, None, value, in_create=True, **options))
        (linked,) = [event for event in events if event.attribute == "entity"]
        return [*events, self.back_reference(linked, link, "tasks", **options)]

    def revival(self, record: str | Link, **options: Unpack[EventOptions]) -> Event:
        """Return the event of a restored record: `Shotgun_<EntityType>_Revival`."""
        return self._record_event(record, "Revival", "entity_revival", options, described=True)

    def thumbnail(
        self, record: str | Link = "Version", **options: Unpack[EventOptions]
    ) -> tuple[Event, Event]:
        """Return both events of a thumbnail: while it is being made, and when it is ready.

        The values are ids of pictures.
        """
        link = self._link(record)
        picture_id = self.record("Thumbnail")["id"]
        first = self._thumbnail_event(link, picture_id, options, transient=True)
        options.pop("id", None)
        return first, self._thumbnail_event(link, picture_id, options, transient=False)

    def _thumbnail_event(
        self, link: Link, picture_id: int, options: EventOptions, *, transient: bool
    ) -> Event:
        values = {"old_value": None, "new_value": picture_id, "is_transient": transient}
        return self._field_event(link, "image", "image", values, in_create=False, options=options)

    def reading(self, record: str | Link = "Note", **options: Unpack[EventOptions]) -> Event:
        """Return the event of a record being read: `Shotgun_Reading_Change`, without its type."""
        field_name, values = "read_by_current_user", {"old_value": None, "new_value": "read"}
        reading = self.record("Reading")
        meta = attribute_change(field_name, "list", values)
        meta = {**meta, "entity_type": "Reading", "entity_id": reading["id"]}
        return self._build_event(
            "Shotgun_Reading_Change", meta, options, record, attribute=field_name
        )

    # Application behaviour

    def playlist_share(
        self,
        playlist: str | Link = "Playlist",
        *,
        revoked: bool = False,
        **options: Unpack[EventOptions],
    ) -> Event:
        """Return the event of a playlist shared for client review, or of a revoked share."""
        share_action = "Revoke" if revoked else "Create"
        meta = {"type": "share", "shared_with": [] if revoked else ["client"]}
        return self._build_event(f"CRS_PlaylistShare_{share_action}", meta, options, playlist)

    def attachment_view(
        self, record: str | Link = "Version", **options: Unpack[EventOptions]
    ) -> Event:
        """Return the event of a viewed file: `Shotgun_Attachment_View`."""
        return self._build_event("Shotgun_Attachment_View", {"type": "view"}, options, record)

    def version_view(
        self,
        version: str | Link = "Version",
        *,
        page: str | Link = "Page",
        **options: Unpack[EventOptions],
    ) -> Event:
        """Return the event of a viewed version: `Shotgun_Version_View`; it has no hook.

        The row links the page on which it was viewed; the version is in `meta`.
        """
        link = self._link(version)
        meta = {"link_entity_type": link["type"], "link_entity_id": link["id"]}
        return self._build_event("Shotgun_Version_View", meta, options, page)

    def preference(self, pref: str, old: Any, new: Any, **options: Unpack[EventOptions]) -> Event:
        """Return the event of a changed site preference; its `meta` has `pref`, `old` and `new`."""
        meta = {"pref": pref, "old": logged_value(old), "new": logged_value(new)}
        return self._event_without_project("Shotgun_Preferences_Change", meta, options)

    def page_setting(
        self,
        page: str | Link | None = "Page",
        *,
        setting: str = "columns",
        **options: Unpack[EventOptions],
    ) -> Event:
        """Return the event of a changed page layout; `meta` names the settings, without values.

        Args:
            page: The page, or None, since sites often leave it out.
            setting: The setting of a list on the page that changed.
            options: See `EventOptions`.
        """
        path = ["body", "list_content"]
        setting_change = {"path": path, "type": "SG.Widget.NewGrid", "setting": setting}
        description = f"On Grid changed {setting}"
        meta = {
            "type": "page_setting_change",
            "changes": [setting_change],
            "friendly_changes": description,
        }
        return self._build_event("Shotgun_PageSetting_Change", meta, options, page)

    def big_query(self, *, rows: int = 12_000, **options: Unpack[EventOptions]) -> Event:
        """Return the event of a query with very many records: `Shotgun_Big_Query`."""
        return self._event_without_project(
            "Shotgun_Big_Query", {"rows": rows, "seconds": 41.5}, options
        )

    def display_column_delete(
        self, entity_type: str = "Shot", name: str = "sg_old", **options: Unpack[EventOptions]
    ) -> Event:
        """Return the event of a field deleted from the schema: `Shotgun_DisplayColumn_Delete`."""
        meta = {"entity_type": entity_type, "name": name}
        return self._event_without_project("Shotgun_DisplayColumn_Delete", meta, options)

    def notes_app_summary_email(
        self,
        playlist: str | Link = "Playlist",
        *,
        recipients: int = 3,
        **options: Unpack[EventOptions],
    ) -> Event:
        """Return the event of a mailed summary of notes: `Shotgun_NotesApp_Summary_Email`."""
        meta = {"type": "email", "recipients": recipients}
        return self._build_event("Shotgun_NotesApp_Summary_Email", meta, options, playlist)

    def login(self, **options: Unpack[EventOptions]) -> Event:
        """Return the event of a login: `Shotgun_User_Login`, without a project."""
        login_user = options.get("user", self.user)
        return self._event_without_project(
            "Shotgun_User_Login", {"type": "login"}, options, login_user
        )

    def logout(self, **options: Unpack[EventOptions]) -> Event:
        """Return the event of a logout: `Shotgun_User_Logout`, without a project."""
        return self._event_without_project("Shotgun_User_Logout", {"type": "logout"}, options)

    def failed_login(self, **options: Unpack[EventOptions]) -> Event:
        """Return the event of a refused login: `Shotgun_User_FailedLogin`, with no user or meta."""
        options.setdefault("user", None)
        options.setdefault("session_uuid", None)
        return self._event_without_project("Shotgun_User_FailedLogin", None, options)

    def app_launch(self, app: str = "tk-desktop", **options: Unpack[EventOptions]) -> Event:
        """Return the event of an application launched from Toolkit: `Toolkit_Desktop_AppLaunch`."""
        meta = {"app": app, "version": "v2.7.1"}
        return self._event_without_project("Toolkit_Desktop_AppLaunch", meta, options)

    def project_launch(self, engine: str = "tk-maya", **options: Unpack[EventOptions]) -> Event:
        """Return the event of a project opened in Toolkit: `Toolkit_Desktop_ProjectLaunch`."""
        meta = {"engine": engine, "version": "v0.13"}
        return self._build_event("Toolkit_Desktop_ProjectLaunch", meta, options, self.project)

    def other(
        self, event_type: str, record: str | Link | None = None, **options: Unpack[EventOptions]
    ) -> Event:
        """Return any other event: `ClientLogin_Failed`, a studio's own type; `meta=` sets its meta.

        Args:
            event_type: Its type, with any number of underscores.
            record: The record it is about, if any.
            options: See `EventOptions`.
        """
        meta: dict[str, Any] | None = {} if "meta" in options else None
        if record is None:
            return self._event_without_project(event_type, meta, options)
        return self._build_event(event_type, meta, options, record)

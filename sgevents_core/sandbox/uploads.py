"""Files sent to the sandbox site: kept as Attachments, set as thumbnails or in fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sgevents_core.sandbox.call_counts import CallCounts
from sgevents_core.sandbox.callers import ApiCaller, KnownCallers
from sgevents_core.sandbox.http_server import Response
from sgevents_core.sandbox.records import EntityRef, Record
from sgevents_core.sandbox.refused_calls import CRUD_ERROR, RefusedCallError
from sgevents_core.sandbox.site_database import SiteDatabase
from sgevents_core.sandbox.stored_files import StoredFile
from sgevents_core.sandbox.timers import Timers
from sgevents_core.sandbox.transactions import Transactions
from sgevents_core.sandbox.upload_forms import UploadForm, read_form
from sgevents_core.sandbox.url_fields import uploaded_file_value
from sgevents_core.sandbox.writes import Transaction

TEXT_CONTENT: Final = "text/plain; charset=utf-8"
_TRANSIENT_THUMBNAIL: Final = (
    "2\nsource_entity image is a transient thumbnail that cannot be shared. Try again later, when "
    "the final thumbnail is available\n"
)


class Uploads:
    """The forms that the client's `upload`, `upload_thumbnail`, `share_thumbnail` send.

    Args:
        database: The database.
        callers: Who may send.
        transactions: Begins and ends transactions.
        counts: Counts the calls.
        timers: Ends the wait for a thumbnail.
        pending_seconds: Seconds until the thumbnail of an upload is ready; 0 for at once.
    """

    def __init__(
        self,
        database: SiteDatabase,
        callers: KnownCallers,
        transactions: Transactions,
        counts: CallCounts,
        *,
        timers: Timers,
        pending_seconds: float,
    ) -> None:
        self._database = database
        self._callers = callers
        self._transactions = transactions
        self._counts = counts
        self._timers = timers
        self._pending_seconds = pending_seconds

    def answer_form(self, request_path: str, body: bytes) -> Response:
        """Return the answer to a form: `1:<id of the Attachment>`, or the error."""
        form = read_form(body)
        self._counts.count_call("upload", form.text_values.get("entity_type", ""))
        try:
            caller = self._callers.authenticate(form.text_values)
            with self._database.lock:
                answer_text = UPLOAD_PATHS[request_path](self, form, caller)
        except (RefusedCallError, KeyError, ValueError) as error:
            answer_text = f"0:{error}\n"
        return Response(answer_text.encode(), content_type=TEXT_CONTENT)

    def _upload_file(self, form: UploadForm, caller: ApiCaller) -> str:
        """Attach a file to a record, or set it in a field of it."""
        target, uploaded_file, texts = (
            self._target_record(form),
            _required_file(form),
            form.text_values,
        )
        shown_name = texts.get("display_name") or uploaded_file.name
        field_name = texts.get("field_name")
        with self._transactions.write(caller) as transaction:
            attachment_links = {"attachment_links": [{"type": target.type, "id": target.id}]}
            attachment = self._create_attachment(
                transaction, uploaded_file, shown_name, {} if field_name else attachment_links
            )
            tags = [tag.strip() for tag in texts.get("tag_list", "").split(",") if tag.strip()]
            if tags:
                transaction.update("Attachment", attachment.id, {"tag_list": tags})
            if field_name:
                transaction.set_url(
                    target,
                    field_name,
                    uploaded_file_value(attachment, uploaded_file, shown_name),
                )
        return f"1:{attachment.id}\n"

    def _upload_thumbnail(self, form: UploadForm, caller: ApiCaller) -> str:
        """Set a picture as the thumbnail of a record."""
        target, uploaded_file = self._target_record(form), _required_file(form)
        field_name = "filmstrip_image" if form.text_values.get("filmstrip") else "image"
        with self._transactions.write(caller) as transaction:
            attachment = self._create_attachment(transaction, uploaded_file, uploaded_file.name, {})
            self._show_picture(transaction, target, field_name, attachment.id)
        return f"1:{attachment.id}\n"

    def _create_attachment(
        self,
        transaction: Transaction,
        uploaded_file: StoredFile,
        shown_name: str,
        values: dict[str, Any],
    ) -> Record:
        created_record = transaction.create(
            "Attachment",
            {"filename": uploaded_file.name, "display_name": shown_name, **values},
        )
        assert isinstance(created_record, Record)  # noqa: S101 - no row of the event log is made here
        self._database.stored_files.store_file(created_record.id, uploaded_file)
        transaction.set_url(
            created_record,
            "this_file",
            uploaded_file_value(created_record, uploaded_file, shown_name),
        )
        return created_record

    def _show_picture(
        self, transaction: Transaction, target: Record, field_name: str, picture_id: int
    ) -> None:
        if not self._pending_seconds:
            transaction.set_picture(target, field_name, picture_id)
            return
        self._database.stored_files.mark_pending(picture_id)
        transaction.set_picture(target, field_name, picture_id, is_placeholder=True)
        self._timers.run_after(
            self._pending_seconds,
            lambda: self._finish_thumbnail(transaction.caller, target, field_name, picture_id),
        )

    def _finish_thumbnail(
        self, caller: ApiCaller, target: Record, field_name: str, picture_id: int
    ) -> None:
        with self._database.lock:
            self._database.stored_files.mark_ready(picture_id)
            if target.values.get(field_name) == picture_id and not target.retired:
                with self._transactions.write(caller) as transaction:
                    transaction.set_picture(target, field_name, picture_id, is_placeholder=False)

    def _share_thumbnail(self, form: UploadForm, caller: ApiCaller) -> str:
        """Set the thumbnail of one record for others."""
        field_name = (
            "filmstrip_image" if form.text_values.get("filmstrip_thumbnail") == "1" else "image"
        )
        picture_id = self._required_record(
            _parse_entity(form.text_values["source_entity"])
        ).values.get(field_name)
        if picture_id is None:
            raise RefusedCallError("source_entity has no thumbnail", CRUD_ERROR)
        if self._database.stored_files.is_pending(picture_id):
            return _TRANSIENT_THUMBNAIL
        with self._transactions.write(caller) as transaction:
            for entity_text in form.text_values["entities"].split(","):
                transaction.set_picture(
                    self._required_record(_parse_entity(entity_text)), field_name, picture_id
                )
        return f"1:{picture_id}\n"

    def _target_record(self, form: UploadForm) -> Record:
        return self._required_record(
            (form.text_values["entity_type"], int(form.text_values["entity_id"]))
        )

    def _required_record(self, entity_ref: EntityRef) -> Record:
        record = self._database.records.live(entity_ref)
        if record is None:
            raise RefusedCallError(
                f"Entity of type {entity_ref[0]} with id={entity_ref[1]} does not exist.",
                CRUD_ERROR,
            )
        return record


def _required_file(form: UploadForm) -> StoredFile:
    if form.uploaded_file is None:
        raise RefusedCallError("no file was sent", CRUD_ERROR)
    return form.uploaded_file


def _parse_entity(entity_text: str) -> EntityRef:
    entity_type, _, entity_id = entity_text.rpartition("_")
    return entity_type, int(entity_id)


UPLOAD_PATHS: Final[dict[str, Callable[[Uploads, UploadForm, ApiCaller], str]]] = {
    "upload/publish_thumbnail": Uploads._upload_thumbnail,
    "upload/upload_file": Uploads._upload_file,
    "upload/share_thumbnail": Uploads._share_thumbnail,
}
"""Address of a form -> the function that handles it."""

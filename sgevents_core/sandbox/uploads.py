"""Files uploaded to the sandbox site: stored as Attachments, set as thumbnails or in fields."""

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
        target, file, texts = self._target_record(form), _required_file(form), form.text_values
        shown_name = texts.get("display_name") or file.name
        field = texts.get("field_name")
        with self._transactions.write(caller) as transaction:
            attachment_links = {"attachment_links": [{"type": target.type, "id": target.id}]}
            links = {} if field else attachment_links
            attachment = self._create_attachment(transaction, file, shown_name, links)
            tags = [tag.strip() for tag in texts.get("tag_list", "").split(",") if tag.strip()]
            if tags:
                transaction.update("Attachment", attachment.id, {"tag_list": tags})
            if field:
                file_value = uploaded_file_value(attachment, file, shown_name)
                transaction.set_url(target, field, file_value)
        return f"1:{attachment.id}\n"

    def _upload_thumbnail(self, form: UploadForm, caller: ApiCaller) -> str:
        """Set a picture as the thumbnail of a record."""
        target, file = self._target_record(form), _required_file(form)
        field = "filmstrip_image" if form.text_values.get("filmstrip") else "image"
        with self._transactions.write(caller) as transaction:
            attachment = self._create_attachment(transaction, file, file.name, {})
            self._show_picture(transaction, target, field, attachment.id)
        return f"1:{attachment.id}\n"

    def _create_attachment(
        self, transaction: Transaction, file: StoredFile, shown_name: str, values: dict[str, Any]
    ) -> Record:
        all_values = {"filename": file.name, "display_name": shown_name, **values}
        attachment = transaction.create_record("Attachment", all_values)
        self._database.stored_files.store_file(attachment.id, file)
        file_value = uploaded_file_value(attachment, file, shown_name)
        transaction.set_url(attachment, "this_file", file_value)
        return attachment

    def _show_picture(
        self, transaction: Transaction, target: Record, field: str, picture: int
    ) -> None:
        if not self._pending_seconds:
            transaction.set_picture(target, field, picture)
            return
        self._database.stored_files.mark_pending(picture)
        transaction.set_picture(target, field, picture, is_placeholder=True)

        def finish() -> None:
            self._finish_thumbnail(transaction.caller, target, field, picture)

        self._timers.run_after(self._pending_seconds, finish)

    def _finish_thumbnail(
        self, caller: ApiCaller, target: Record, field: str, picture: int
    ) -> None:
        with self._database.lock:
            self._database.stored_files.mark_ready(picture)
            if target.values.get(field) == picture and not target.retired:
                with self._transactions.write(caller) as transaction:
                    transaction.set_picture(target, field, picture, is_placeholder=False)

    def _share_thumbnail(self, form: UploadForm, caller: ApiCaller) -> str:
        """Set the thumbnail of one record for others."""
        field = "filmstrip_image" if form.text_values.get("filmstrip_thumbnail") == "1" else "image"
        source = self._required_record(_parse_entity(form.text_values["source_entity"]))
        picture = source.values.get(field)
        if picture is None:
            raise RefusedCallError("source_entity has no thumbnail", CRUD_ERROR)
        if self._database.stored_files.is_pending(picture):
            return _TRANSIENT_THUMBNAIL
        with self._transactions.write(caller) as transaction:
            for entity in form.text_values["entities"].split(","):
                record = self._required_record(_parse_entity(entity))
                transaction.set_picture(record, field, picture)
        return f"1:{picture}\n"

    def _target_record(self, form: UploadForm) -> Record:
        texts = form.text_values
        return self._required_record((texts["entity_type"], int(texts["entity_id"])))

    def _required_record(self, ref: EntityRef) -> Record:
        record = self._database.records.live(ref)
        if record is None:
            raise RefusedCallError(
                f"Entity of type {ref[0]} with id={ref[1]} does not exist.", CRUD_ERROR
            )
        return record


def _required_file(form: UploadForm) -> StoredFile:
    if form.file is None:
        raise RefusedCallError("no file was sent", CRUD_ERROR)
    return form.file


def _parse_entity(entity: str) -> EntityRef:
    entity_type, _, entity_id = entity.rpartition("_")
    return entity_type, int(entity_id)


UPLOAD_PATHS: Final[dict[str, Callable[[Uploads, UploadForm, ApiCaller], str]]] = {
    "upload/publish_thumbnail": Uploads._upload_thumbnail,
    "upload/upload_file": Uploads._upload_file,
    "upload/share_thumbnail": Uploads._share_thumbnail,
}
"""Address of a form -> the function that handles it."""

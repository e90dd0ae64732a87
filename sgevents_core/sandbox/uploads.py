"""Files sent to the sandbox site: kept as Attachments, set as thumbnails or in fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sgevents_core.sandbox.callers import Callers, SignedIn
from sgevents_core.sandbox.counts import Counts
from sgevents_core.sandbox.forms import Form, read_form
from sgevents_core.sandbox.records import Record, Ref
from sgevents_core.sandbox.refusal import CRUD, RefusedCallError
from sgevents_core.sandbox.server import Response
from sgevents_core.sandbox.site_database import SiteDatabase
from sgevents_core.sandbox.stored_files import File
from sgevents_core.sandbox.timers import Timers
from sgevents_core.sandbox.transactions import Transactions
from sgevents_core.sandbox.urls import uploaded
from sgevents_core.sandbox.writes import Transaction

TEXT: Final = "text/plain; charset=utf-8"
_NOT_READY: Final = (
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
        pending: Seconds until the thumbnail of an upload is ready; 0 for at once.
    """

    def __init__(
        self,
        database: SiteDatabase,
        callers: Callers,
        transactions: Transactions,
        counts: Counts,
        *,
        timers: Timers,
        pending: float,
    ) -> None:
        self._database = database
        self._callers = callers
        self._transactions = transactions
        self._counts = counts
        self._timers = timers
        self._pending = pending

    def answer(self, address: str, body: bytes) -> Response:
        """Return the answer to a form: `1:<id of the Attachment>`, or the error."""
        form = read_form(body)
        self._counts.call("upload", form.texts.get("entity_type", ""))
        try:
            caller = self._callers.authenticated(form.texts)
            with self._database.lock:
                text = ADDRESSES[address](self, form, caller)
        except (RefusedCallError, KeyError, ValueError) as error:
            text = f"0:{error}\n"
        return Response(text.encode(), kind=TEXT)

    def _file(self, form: Form, caller: SignedIn) -> str:
        """Attach a file to a record, or set it in a field of it."""
        target, file, texts = self._target(form), _file_of(form), form.texts
        name = texts.get("display_name") or file.name
        field = texts.get("field_name")
        with self._transactions.written(caller) as work:
            links = {"attachment_links": [{"type": target.type, "id": target.id}]}
            attachment = self._attachment(work, file, name, {} if field else links)
            tags = [tag.strip() for tag in texts.get("tag_list", "").split(",") if tag.strip()]
            if tags:
                work.update("Attachment", attachment.id, {"tag_list": tags})
            if field:
                work.set_url(target, field, uploaded(attachment, file, name))
        return f"1:{attachment.id}\n"

    def _thumbnail(self, form: Form, caller: SignedIn) -> str:
        """Set a picture as the thumbnail of a record."""
        target, file = self._target(form), _file_of(form)
        field = "filmstrip_image" if form.texts.get("filmstrip") else "image"
        with self._transactions.written(caller) as work:
            attachment = self._attachment(work, file, file.name, {})
            self._show(work, target, field, attachment.id)
        return f"1:{attachment.id}\n"

    def _attachment(
        self, work: Transaction, file: File, name: str, values: dict[str, Any]
    ) -> Record:
        made = work.create("Attachment", {"filename": file.name, "display_name": name, **values})
        assert isinstance(made, Record)  # noqa: S101 - no row of the event log is made here
        self._database.files.keep(made.id, file)
        work.set_url(made, "this_file", uploaded(made, file, name))
        return made

    def _show(self, work: Transaction, target: Record, field: str, picture: int) -> None:
        if not self._pending:
            work.set_picture(target, field, picture)
            return
        self._database.files.wait_for(picture)
        work.set_picture(target, field, picture, transient=True)
        self._timers.after(self._pending, lambda: self._settle(work.caller, target, field, picture))

    def _settle(self, caller: SignedIn, target: Record, field: str, picture: int) -> None:
        with self._database.lock:
            self._database.files.done(picture)
            if target.values.get(field) == picture and not target.retired:
                with self._transactions.written(caller) as work:
                    work.set_picture(target, field, picture, transient=False)

    def _share(self, form: Form, caller: SignedIn) -> str:
        """Set the thumbnail of one record for others."""
        field = "filmstrip_image" if form.texts.get("filmstrip_thumbnail") == "1" else "image"
        picture = self._live(_ref(form.texts["source_entity"])).values.get(field)
        if picture is None:
            raise RefusedCallError("source_entity has no thumbnail", CRUD)
        if self._database.files.is_waiting(picture):
            return _NOT_READY
        with self._transactions.written(caller) as work:
            for named in form.texts["entities"].split(","):
                work.set_picture(self._live(_ref(named)), field, picture)
        return f"1:{picture}\n"

    def _target(self, form: Form) -> Record:
        return self._live((form.texts["entity_type"], int(form.texts["entity_id"])))

    def _live(self, ref: Ref) -> Record:
        record = self._database.records.live(ref)
        if record is None:
            raise RefusedCallError(
                f"Entity of type {ref[0]} with id={ref[1]} does not exist.", CRUD
            )
        return record


def _file_of(form: Form) -> File:
    if form.file is None:
        raise RefusedCallError("no file was sent", CRUD)
    return form.file


def _ref(text: str) -> Ref:
    entity_type, _, number = text.rpartition("_")
    return entity_type, int(number)


ADDRESSES: Final[dict[str, Callable[[Uploads, Form, SignedIn], str]]] = {
    "upload/publish_thumbnail": Uploads._thumbnail,
    "upload/upload_file": Uploads._file,
    "upload/share_thumbnail": Uploads._share,
}
"""Address of a form -> the function that handles it."""

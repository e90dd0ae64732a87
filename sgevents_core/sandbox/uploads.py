"""Files sent to the sandbox site: noted as Attachments, set as thumbnails, and not kept."""

from __future__ import annotations

from typing import Any, Final

from sgevents_core.sandbox.callers import Callers
from sgevents_core.sandbox.counts import Counts
from sgevents_core.sandbox.database import Database
from sgevents_core.sandbox.refusal import CRUD, RefusedCallError
from sgevents_core.sandbox.server import Answer
from sgevents_core.sandbox.transactions import Transactions
from sgevents_core.sandbox.writes import Transaction

TEXT: Final = "text/plain; charset=utf-8"
ADDRESSES: Final = ("upload/publish_thumbnail", "upload/upload_file")


class Uploads:
    """Takes the forms that the client's `upload` and `upload_thumbnail` send.

    Args:
        database: What is written to.
        callers: Who may send.
        transactions: Where transactions begin and end.
        counts: What counts the calls.
    """

    def __init__(
        self, database: Database, callers: Callers, transactions: Transactions, counts: Counts
    ) -> None:
        self._database = database
        self._callers = callers
        self._transactions = transactions
        self._counts = counts

    def answer(self, address: str, body: bytes) -> Answer:
        """Return the answer to a form: `1:<id of the Attachment>`, or `0:` and what is wrong."""
        form = _form(body)
        self._counts.call("upload", form.get("entity_type", ""))
        try:
            number = self._stored(address, form)
        except (RefusedCallError, KeyError, ValueError) as error:
            return Answer(f"0:{error}\n".encode(), kind=TEXT)
        return Answer(f"1:{number}\n".encode(), kind=TEXT)

    def _stored(self, address: str, form: dict[str, str]) -> int:
        caller = self._callers.authenticated(form)
        target: dict[str, Any] = {"type": form["entity_type"], "id": int(form["entity_id"])}
        thumbnail = address == "upload/publish_thumbnail"
        name = form.get("display_name") or form.get("filename", "file")
        with self._database.lock, self._transactions.written(caller) as work:
            if self._database.records.live((target["type"], target["id"])) is None:
                what = f"{target['type']} with id={target['id']}"
                raise RefusedCallError(f"Entity of type {what} does not exist.", CRUD)
            links = [] if thumbnail else [target]
            values = {"display_name": name, "filename": name, "attachment_links": links}
            attachment = work.create("Attachment", values)
            self._attach(work, form, target, f"/files/{attachment.id}/{name}", thumbnail=thumbnail)
            return attachment.id

    @staticmethod
    def _attach(
        work: Transaction, form: dict[str, str], target: Any, url: str, *, thumbnail: bool
    ) -> None:
        field = form.get("field_name")
        value: Any = {"url": url, "name": url.rsplit("/", 1)[1], "link_type": "upload"}
        if thumbnail:
            field = "filmstrip_image" if form.get("filmstrip") else "image"
            value = url
        if field:
            work.update(target["type"], target["id"], {field: value})


def _form(body: bytes) -> dict[str, str]:
    """Return the texts of a multipart form, and the name of the file in it."""
    boundary = body.split(b"\r\n", 1)[0]
    form = {}
    for part in body.split(boundary)[1:-1] if boundary else []:
        head, _, value = part.partition(b"\r\n\r\n")
        disposition = head.decode("utf-8", "replace").split('"')
        if len(disposition) > 4:
            form["filename"] = disposition[3]
        elif len(disposition) > 1:
            form[disposition[1]] = value[:-2].decode("utf-8", "replace")
    return form

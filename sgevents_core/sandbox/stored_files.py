"""Files uploaded to the sandbox site: stored in memory while it runs, and served again."""

from __future__ import annotations

import mimetypes
import struct
import threading
import zlib
from dataclasses import dataclass
from typing import Final

from sgevents_core.sandbox.http_server import HTML_CONTENT, Response

PENDING_THUMBNAIL: Final = "/images/status/transient/thumbnail_pending.png"
"""The address of the placeholder of a picture that is still being made."""

_ATTACHMENT_PREFIX: Final = "/file_serve/attachment/"
_PICTURE_PREFIX: Final = "/thumbnail/image/"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file: its name and content."""

    name: str
    content: bytes

    @property
    def content_type(self) -> str:
        """Its content type, derived from its name."""
        return mimetypes.guess_type(self.name)[0] or "application/octet-stream"


class StoredFiles:
    """The files of a site, by the id of their Attachment."""

    def __init__(self) -> None:
        self._files_lock = threading.Lock()
        self._files_by_attachment: dict[int, StoredFile] = {}
        self._pending_pictures: set[int] = set()

    def store_file(self, attachment_id: int, file: StoredFile) -> None:
        """Store the file of an Attachment."""
        with self._files_lock:
            self._files_by_attachment[attachment_id] = file

    def mark_pending(self, picture_id: int) -> None:
        """Show a placeholder for a picture until `mark_ready`."""
        with self._files_lock:
            self._pending_pictures.add(picture_id)

    def mark_ready(self, picture_id: int) -> None:
        """Show a picture from now on."""
        with self._files_lock:
            self._pending_pictures.discard(picture_id)

    def is_pending(self, picture_id: int) -> bool:
        """Return whether a placeholder is shown for a picture."""
        return picture_id in self._pending_pictures

    def picture_path(self, picture_id: int | None) -> str | None:
        """Return where on the site a picture is served: its value in a field of type image."""
        if picture_id is None:
            return None
        is_pending = picture_id in self._pending_pictures
        return PENDING_THUMBNAIL if is_pending else f"{_PICTURE_PREFIX}{picture_id}"

    @staticmethod
    def attachment_path(attachment_id: int) -> str:
        """Return where on the site an uploaded file is served."""
        return f"{_ATTACHMENT_PREFIX}{attachment_id}"

    def answer_request(self, request_path: str) -> Response | None:
        """Return the answer to a GET of a file or picture; None for any other address."""
        if request_path == PENDING_THUMBNAIL:
            return Response(_GREY_PIXEL, content_type="image/png")
        for prefix in (_ATTACHMENT_PREFIX, _PICTURE_PREFIX):
            if request_path.startswith(prefix):
                attachment_text = request_path.removeprefix(prefix)
                return self._file_response(attachment_text, is_picture=prefix == _PICTURE_PREFIX)
        return None

    def _file_response(self, attachment_text: str, *, is_picture: bool) -> Response:
        file = None
        if attachment_text.isdecimal():
            file = self._files_by_attachment.get(int(attachment_text))
        if file is not None:
            return Response(file.content, content_type=file.content_type)
        if is_picture:  # created by the site's own traffic
            return Response(_GREY_PIXEL, content_type="image/png")
        return Response(b"Attachment may not exist or is a local file", 400, HTML_CONTENT)


def _png_chunk(name: bytes, data: bytes) -> bytes:
    # A chunk of a PNG: length of the data, name, data, checksum of name and data.
    checksum = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + checksum


_GREY_PIXEL: Final = (
    b"\x89PNG\r\n\x1a\n"
    + _png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    + _png_chunk(b"IDAT", zlib.compress(b"\x00\x80"))
    + _png_chunk(b"IEND", b"")
)
"""A grey PNG of one pixel: width, height and bits in IHDR, a filter byte and the pixel in IDAT."""

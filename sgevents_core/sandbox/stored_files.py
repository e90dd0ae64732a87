"""Files sent to the sandbox site: kept in memory while it runs, and served again."""

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

    def store_file(self, attachment_id: int, stored_file: StoredFile) -> None:
        """Keep the file of an Attachment."""
        with self._files_lock:
            self._files_by_attachment[attachment_id] = stored_file

    def mark_pending(self, picture_id: int) -> None:
        """Show a placeholder for a picture until it is `done`."""
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
        return (
            PENDING_THUMBNAIL
            if picture_id in self._pending_pictures
            else f"{_PICTURE_PREFIX}{picture_id}"
        )

    @staticmethod
    def attachment_path(attachment_id: int) -> str:
        """Return where on the site an uploaded file is served."""
        return f"{_ATTACHMENT_PREFIX}{attachment_id}"

    def answer_request(self, request_path: str) -> Response | None:
        """Return the answer to a GET of a file or picture; None for any other address."""
        if request_path == PENDING_THUMBNAIL:
            return Response(_GREY_PIXEL, content_type="image/png")
        for path_prefix in (_ATTACHMENT_PREFIX, _PICTURE_PREFIX):
            if request_path.startswith(path_prefix):
                return self._file_response(
                    request_path.removeprefix(path_prefix),
                    is_picture=path_prefix == _PICTURE_PREFIX,
                )
        return None

    def _file_response(self, attachment_text: str, *, is_picture: bool) -> Response:
        stored_file = (
            self._files_by_attachment.get(int(attachment_text))
            if attachment_text.isdecimal()
            else None
        )
        if stored_file is not None:
            return Response(stored_file.content, content_type=stored_file.content_type)
        if is_picture:  # created by the site's own traffic
            return Response(_GREY_PIXEL, content_type="image/png")
        return Response(b"Attachment may not exist or is a local file", 400, HTML_CONTENT)


def _png_chunk(chunk_name: bytes, chunk_data: bytes) -> bytes:
    # A chunk of a PNG: length of the data, name, data, checksum of name and data.
    checksum = struct.pack(">I", zlib.crc32(chunk_name + chunk_data))
    return struct.pack(">I", len(chunk_data)) + chunk_name + chunk_data + checksum


_GREY_PIXEL: Final = (
    b"\x89PNG\r\n\x1a\n"
    + _png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    + _png_chunk(b"IDAT", zlib.compress(b"\x00\x80"))
    + _png_chunk(b"IEND", b"")
)
"""A grey PNG of one pixel: width, height and bits in IHDR, a filter byte and the pixel in IDAT."""

"""Files sent to the sandbox site: kept in memory while it runs, and served again."""

from __future__ import annotations

import mimetypes
import struct
import threading
import zlib
from dataclasses import dataclass
from typing import Final

from sgevents_core.sandbox.server import HTML, Response

PENDING: Final = "/images/status/transient/thumbnail_pending.png"
"""The address of the placeholder of a picture that is still being made."""

_ATTACHMENTS: Final = "/file_serve/attachment/"
_PICTURES: Final = "/thumbnail/image/"


@dataclass(frozen=True, slots=True)
class File:
    """A file: its name and content."""

    name: str
    content: bytes

    @property
    def kind(self) -> str:
        """Its content type, derived from its name."""
        return mimetypes.guess_type(self.name)[0] or "application/octet-stream"


class Files:
    """The files of a site, by the id of their Attachment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[int, File] = {}
        self._waiting: set[int] = set()

    def keep(self, attachment: int, file: File) -> None:
        """Keep the file of an Attachment."""
        with self._lock:
            self._files[attachment] = file

    def wait_for(self, picture: int) -> None:
        """Show a placeholder for a picture until it is `done`."""
        with self._lock:
            self._waiting.add(picture)

    def done(self, picture: int) -> None:
        """Show a picture from now on."""
        with self._lock:
            self._waiting.discard(picture)

    def is_waiting(self, picture: int) -> bool:
        """Return whether a placeholder is shown for a picture."""
        return picture in self._waiting

    def picture_address(self, picture: int | None) -> str | None:
        """Return where on the site a picture is served: its value in a field of type image."""
        if picture is None:
            return None
        return PENDING if picture in self._waiting else f"{_PICTURES}{picture}"

    @staticmethod
    def address(attachment: int) -> str:
        """Return where on the site an uploaded file is served."""
        return f"{_ATTACHMENTS}{attachment}"

    def answer(self, path: str) -> Response | None:
        """Return the answer to a GET of a file or picture; None for any other address."""
        if path == PENDING:
            return Response(_PIXEL, kind="image/png")
        for prefix in (_ATTACHMENTS, _PICTURES):
            if path.startswith(prefix):
                return self._file(path.removeprefix(prefix), picture=prefix == _PICTURES)
        return None

    def _file(self, number: str, *, picture: bool) -> Response:
        file = self._files.get(int(number)) if number.isdecimal() else None
        if file is not None:
            return Response(file.content, kind=file.kind)
        if picture:  # created by the site's own traffic
            return Response(_PIXEL, kind="image/png")
        return Response(b"Attachment may not exist or is a local file", 400, HTML)


def _chunk(name: bytes, data: bytes) -> bytes:
    # A chunk of a PNG: length of the data, name, data, checksum of name and data.
    check = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + check


_PIXEL: Final = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\x00\x80"))
    + _chunk(b"IEND", b"")
)
"""A grey PNG of one pixel: width, height and bits in IHDR, a filter byte and the pixel in IDAT."""

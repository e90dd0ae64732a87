"""The parsed forms that the client sends, with a file (multipart) or without."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from sgevents_core.sandbox.stored_files import StoredFile


@dataclass(slots=True)
class UploadForm:
    """The texts of a form by name, and the file in it, if any."""

    text_values: dict[str, str] = field(default_factory=dict)
    file: StoredFile | None = None


def read_form(body: bytes) -> UploadForm:
    """Return the contents of a form.

    Args:
        body: Parts after a boundary, or pairs of names and values as in a URL.
    """
    if not body.startswith(b"--"):
        return UploadForm(dict(parse_qsl(body.decode("utf-8", "replace"))))
    boundary = body.split(b"\r\n", 1)[0]
    form = UploadForm()
    for part in body.split(b"\r\n" + boundary):
        head, _, content = part.removeprefix(boundary).partition(b"\r\n\r\n")
        names = head.decode("utf-8", "replace").split('"')
        if len(names) > 4:
            form.file = StoredFile(names[3], content)
        elif len(names) > 1:
            form.text_values[names[1]] = content.decode("utf-8", "replace")
    return form

"""The parsed forms that the client sends, with a file (multipart) or without."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from sgevents_core.sandbox.stored_files import File


@dataclass(slots=True)
class Form:
    """The texts of a form by name, and the file in it, if any."""

    texts: dict[str, str] = field(default_factory=dict)
    file: File | None = None


def read_form(body: bytes) -> Form:
    """Return the contents of a form.

    Args:
        body: Parts after a boundary, or pairs of names and values as in a URL.
    """
    if not body.startswith(b"--"):
        return Form(dict(parse_qsl(body.decode("utf-8", "replace"))))
    boundary = body.split(b"\r\n", 1)[0]
    form = Form()
    for part in body.split(b"\r\n" + boundary):
        head, _, value = part.removeprefix(boundary).partition(b"\r\n\r\n")
        names = head.decode("utf-8", "replace").split('"')
        if len(names) > 4:
            form.file = File(names[3], value)
        elif len(names) > 1:
            form.texts[names[1]] = value.decode("utf-8", "replace")
    return form

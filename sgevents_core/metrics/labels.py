"""Label values: names from outside as text that is visible, bounded, and different if they are."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from sgevents_core.printable import one_line

LONGEST_LABEL: Final = 120
"""The most characters of a label value."""
_DIGEST_LENGTH: Final = 10


def label_value(name: str) -> str:
    """Return a name as a label value; two names never have the same one."""
    visible_name = one_line(name.replace("\\", "\\\\"))
    if len(visible_name) <= LONGEST_LABEL:
        return visible_name
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{visible_name[: LONGEST_LABEL - _DIGEST_LENGTH - 1]}~{digest}"

"""The text of a source file as Python reads it, whatever its encoding, to be written as UTF-8."""

from __future__ import annotations

import re
from importlib.util import decode_source
from pathlib import Path
from typing import Final

_ENCODING_COMMENT: Final = re.compile(r"^([ \t\f]*#.*?coding[:=][ \t]*)[-_.a-zA-Z0-9]+")
_COMMENT_LINES: Final = 2
"""The first lines of a file, in which Python looks for the name of its encoding."""


def read_source(source_path: Path) -> str:
    """Return the text of a source file; a comment that names its encoding names UTF-8.

    Characters that cannot be decoded, as Python accepts them in comments, are replaced.

    Args:
        source_path: The file.

    Raises:
        OSError: It cannot be read.
    """
    source_content = source_path.read_bytes()
    try:
        source_text = decode_source(source_content)
    except (SyntaxError, UnicodeDecodeError):
        source_text = source_content.decode("utf-8-sig", "replace")
    source_lines = source_text.splitlines(keepends=True)
    for line_index, source_line in enumerate(source_lines[:_COMMENT_LINES]):
        source_lines[line_index] = _ENCODING_COMMENT.sub(r"\g<1>utf-8", source_line)
    return "".join(source_lines)

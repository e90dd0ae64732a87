"""Recognise Python 2 syntax from the line at which Python 3 stops parsing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from sgevents_core.errors import PythonTwoError

_OLD_SYNTAX: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern), what)
    for pattern, what in (
        (r"^\s*print\s*(>>|[^\s(=.,\[]|$)|[;:]\s*print\s+[^\s(=.]", "print is a statement"),
        (r"\bexcept\s+[^:]+?,\s*\w+\s*:", "except has a comma instead of `as`"),
        (r"^\s*raise\s+[\w.]+\s*,", "raise has a comma"),
        (r"\bexec\s+[^\s(=.]", "exec is a statement"),
        (r"<>", "<> instead of !="),
        (r"`[^`]+`", "backticks instead of repr()"),
        (r"(?<![\w.])0[0-7]+\b", "an octal number without 0o"),
        (r"(?<![\w.])(0x[0-9a-fA-F]+|\d+)[lL]\b", "a long number with an L"),
        (r"""\b[uU][rR]['"]""", "a string with the prefix ur"),
        (r"\blambda\s*\(|def\s+\w+\s*\(.*\(", "a parameter that is a tuple"),
    )
)
RENAMED_MODULES: Final = frozenset(
    [
        "BaseHTTPServer",
        "CGIHTTPServer",
        "ConfigParser",
        "Cookie",
        "HTMLParser",
        "Queue",
        "SimpleHTTPServer",
        "SocketServer",
        "StringIO",
        "Tkinter",
        "UserDict",
        "UserList",
        "UserString",
        "__builtin__",
        "anydbm",
        "cPickle",
        "cStringIO",
        "commands",
        "cookielib",
        "copy_reg",
        "dbhash",
        "dummy_thread",
        "exceptions",
        "htmlentitydefs",
        "httplib",
        "md5",
        "new",
        "popen2",
        "robotparser",
        "sets",
        "sha",
        "thread",
        "tkMessageBox",
        "urllib2",
        "urlparse",
        "whichdb",
        "xmlrpclib",
    ]
)
"""Modules of Python 2 that Python 3 does not have, or has under another name."""


def old_syntax(error: SyntaxError) -> str | None:
    """Return the Python 2 construct at the line of a syntax error; None if none is recognised."""
    if isinstance(error, TabError):
        return "tabs and spaces are mixed"
    if "Missing parentheses in call to" in (error.msg or ""):
        return f"{'exec' if 'exec' in error.msg else 'print'} is a statement"
    text = error.text or ""
    return next((what for pattern, what in _OLD_SYNTAX if pattern.search(text)), None)


def renamed_module(error: BaseException | None, path: Path) -> PythonTwoError | None:
    """Return the problem if an import failed because the module was one of Python 2."""
    if not isinstance(error, ModuleNotFoundError) or error.name not in RENAMED_MODULES:
        return None
    line, trace = 1, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return PythonTwoError(path=path, line=line, problem=f"Python 3 has no module {error.name}")

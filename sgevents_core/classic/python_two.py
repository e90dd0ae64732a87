"""Recognise Python 2: syntax that Python 3 cannot parse, and names that it does not have."""

from __future__ import annotations

import ast
import re
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
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
        (r"\basync\s*(=|,|\)|\.)|[.(,]\s*async\b", "async is used as a name"),
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
        "email.Charset",
        "email.Encoders",
        "email.Generator",
        "email.Header",
        "email.MIMEAudio",
        "email.MIMEBase",
        "email.MIMEImage",
        "email.MIMEMultipart",
        "email.MIMEText",
        "email.Message",
        "email.Parser",
        "email.Utils",
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


def old_syntax(raised_error: SyntaxError) -> str | None:
    """Return the Python 2 construct at the line of a syntax error; None if none is recognised."""
    if isinstance(raised_error, TabError):
        return "tabs and spaces are mixed"
    if "Missing parentheses in call to" in (raised_error.msg or ""):
        return f"{'exec' if 'exec' in raised_error.msg else 'print'} is a statement"
    source_line = raised_error.text or ""
    return next(
        (
            construct_name
            for syntax_pattern, construct_name in _OLD_SYNTAX
            if syntax_pattern.search(source_line)
        ),
        None,
    )


_REMOVED_NAMES: Final = frozenset(
    [
        "apply",
        "basestring",
        "buffer",
        "cmp",
        "coerce",
        "execfile",
        "file",
        "intern",
        "long",
        "raw_input",
        "reduce",
        "reload",
        "unichr",
        "unicode",
        "xrange",
    ]
)
"""Built-in names of Python 2 that Python 3 does not have."""
_REMOVED_ATTRIBUTES: Final[Mapping[str, str]] = {
    "dict": "has_key iteritems iterkeys itervalues viewitems viewkeys viewvalues",
    "email": "Charset Encoders Generator Header MIMEAudio MIMEBase MIMEImage MIMEMultipart MIMEText"
    " Message Parser Utils",
    "dict_items": "append extend index insert pop remove reverse sort",
    "dict_keys": "append extend index insert pop remove reverse sort",
    "dict_values": "append extend index insert pop remove reverse sort",
    "filter": "append extend index insert pop remove reverse sort",
    "map": "append extend index insert pop remove reverse sort",
    "zip": "append extend index insert pop remove reverse sort",
    "str": "decode",
    "generator": "next",
    "file": "next xreadlines",
    "function": "func_code func_defaults func_name im_class im_func im_self",
    "method": "im_class im_func im_self",
    "itertools": "ifilter ifilterfalse imap izip izip_longest",
    "os": "getcwdu tmpnam",
    "string": "atof atoi join letters lower lowercase maketrans replace split strip upper"
    " uppercase",
    "sys": "exc_clear exc_type maxint setdefaultencoding",
    "types": "ClassType DictType IntType ListType StringType StringTypes UnicodeType",
    "urllib": "quote quote_plus unquote unquote_plus urlencode urlopen urlretrieve",
}
"""Type or module -> the attributes that it had in Python 2 only."""


def python_two_problem(
    raised_error: BaseException | None, plugin_path: Path
) -> PythonTwoError | None:
    """Return the problem if code failed on something that only Python 2 has.

    Args:
        raised_error: The exception that the code raised.
        plugin_path: The plugin's file.
    """
    if raised_error is None:
        return None
    problem_text = _removed_thing(raised_error, plugin_path)
    if problem_text is None:
        return None
    line_number = _line_in(plugin_path, raised_error)
    return PythonTwoError(path=plugin_path, line=line_number, problem=problem_text)


def is_removed_member(module_name: str, member_name: str) -> bool:
    """Return whether a module or type had a member in Python 2 only."""
    return member_name in _REMOVED_ATTRIBUTES.get(module_name, "").split()


def _removed_thing(raised_error: BaseException, plugin_path: Path) -> str | None:
    if isinstance(raised_error, ModuleNotFoundError) and raised_error.name in RENAMED_MODULES:
        return f"Python 3 has no module {raised_error.name}"
    if isinstance(raised_error, NameError) and raised_error.name in _REMOVED_NAMES:
        return f"Python 3 has no {raised_error.name}"
    if isinstance(raised_error, ImportError) and raised_error.name:
        return _removed_import(raised_error.name, plugin_path)
    if isinstance(raised_error, AttributeError) and raised_error.name:
        return _removed_attribute(raised_error.obj, raised_error.name)
    return None


def _removed_import(module_name: str, plugin_path: Path) -> str | None:
    """Return what a file imports from a module that had it in Python 2 only."""
    try:
        module_tree = ast.parse(plugin_path.read_bytes())
    except (OSError, SyntaxError, ValueError):  # it has changed since it was loaded
        return None
    imported_names = [
        alias.name
        for syntax_node in ast.walk(module_tree)
        if isinstance(syntax_node, ast.ImportFrom) and syntax_node.module == module_name
        for alias in syntax_node.names
    ]
    removed_names = [name for name in imported_names if is_removed_member(module_name, name)]
    return f"Python 3 has no {module_name}.{removed_names[0]}" if removed_names else None


def _removed_attribute(owner: object, attribute_name: str) -> str | None:
    owner_name = owner.__name__ if isinstance(owner, ModuleType) else type(owner).__name__
    is_removed = (
        is_removed_member(owner_name, attribute_name)
        or (attribute_name == "next" and hasattr(owner, "__next__"))
        or (attribute_name == "message" and isinstance(owner, BaseException))
    )
    return f"Python 3 has no {owner_name}.{attribute_name}" if is_removed else None


def _line_in(plugin_path: Path, raised_error: BaseException) -> int:
    """Return the last line of a file that an exception passed through; 1 if it passed none."""
    line_numbers = [
        line_number
        for stack_frame, line_number in traceback.walk_tb(raised_error.__traceback__)
        if stack_frame.f_code.co_filename == str(plugin_path)
    ]
    return line_numbers[-1] if line_numbers else 1

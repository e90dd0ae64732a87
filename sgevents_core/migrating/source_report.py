"""The report on a classic plugin file, from its syntax tree alone; no code is run."""

from __future__ import annotations

import ast
import builtins
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from sgevents_core.classic.python_two import old_syntax
from sgevents_core.migrating.imported_modules import ImportedModules
from sgevents_core.migrating.registrations import (
    ENTRANCE,
    Entrance,
    Registration,
    entrance_of,
    filter_of,
)
from sgevents_core.migrating.remarks import STOPPING, Remark
from sgevents_core.migrating.written_keys import keys_in, remarks_on_keys, remarks_on_unparsed
from sgevents_core.migrating.written_values import (
    Named,
    environment_variables,
)

_OLD_NAMES: Final = frozenset(
    {
        *("unicode", "basestring", "xrange", "raw_input", "unichr", "long", "file", "reduce"),
        *("execfile", "cmp", "reload", "apply", "buffer", "coerce", "intern"),
    }
)
_OLD_ATTRIBUTES: Final = frozenset({"has_key", "iteritems", "itervalues", "iterkeys"})
_OLD_MEMBERS: Final = frozenset(
    {
        "sys.maxint",
        "os.getcwdu",
        "string.letters",
        "string.join",
        "itertools.izip",
        "dict.iteritems",
    }
)
_CALL_ARGUMENTS: Final = 4


class SourceReport(NamedTuple):
    """The facts about a plugin file without running it.

    Args:
        path: The file.
        entrance: The function that registers its callbacks; None if not found.
        remarks: The remarks, by line.
        modules: The modules that it imports when it is loaded, from a folder given for that.
        secrets: Keys in the source; for leaving them out of everything that is shown.
    """

    path: Path
    entrance: Entrance | None = None
    remarks: tuple[Remark, ...] = ()
    modules: tuple[Path, ...] = ()
    secrets: frozenset[str] = frozenset()

    @property
    def loads(self) -> bool:
        """Whether it should load, as far as its syntax tree shows."""
        return self.entrance is not None and not any(
            remark.kind in STOPPING for remark in self.remarks
        )

    @property
    def is_helper(self) -> bool:
        """Whether it is a module for other files."""
        return any(remark.kind == "helper" for remark in self.remarks)

    @property
    def registrations(self) -> tuple[Registration, ...]:
        """The callbacks that it registers."""
        return self.entrance.registrations if self.entrance else ()


def report_on(
    path: Path, search_path: Sequence[Path] = (), environment: Mapping[str, str] = os.environ
) -> SourceReport:
    """Return the report on a file.

    Args:
        path: The file.
        search_path: Folders in which it finds modules, besides its own and the installed ones.
        environment: The environment in which it will run.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        return SourceReport(
            path, None, (Remark("broken", 0, f"it cannot be read: {error.strerror}"),)
        )
    parsed = _parsed(content, path)
    if isinstance(parsed, Remark):
        on_keys, keys = remarks_on_unparsed(content.decode("utf-8", "replace"))
        return SourceReport(path, None, (parsed, *on_keys), (), keys)
    entrance = entrance_of(parsed)
    if path.name.startswith("_") or (entrance is None and not _may_import_entrance(parsed)):
        text = "it registers nothing: a module for other files"
        return SourceReport(path, None, (Remark("helper", 0, text),), (), keys_in(parsed))
    imports = ImportedModules(path, search_path)
    remarks = [
        *imports.remarks_on(parsed),
        *_old_words(parsed),
        *remarks_on_keys(parsed, entrance),
        *_remarks_on_environment(parsed, environment),
    ]
    if entrance is not None:
        remarks += _remarks_on_entrance(parsed, entrance)
    ordered = tuple(sorted(dict.fromkeys(remarks), key=lambda remark: remark.line))
    return SourceReport(path, entrance, ordered, tuple(imports.found), keys_in(parsed))


def _parsed(content: bytes, path: Path) -> ast.Module | Remark:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as a wrong escape, in a file that is not ours
            return ast.parse(content, str(path))
    except SyntaxError as error:
        line = error.lineno or 1
        old = old_syntax(error)
        if old is not None:
            return Remark("python 2", line, old)
        return Remark("broken", line, (error.msg or "invalid syntax").split("(")[0].strip())
    except (ValueError, RecursionError, MemoryError) as error:
        return Remark("broken", 1, type(error).__name__)


def _may_import_entrance(module: ast.Module) -> bool:
    """Return whether the function that registers may come from elsewhere, or be assigned."""
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom):
            if any(
                alias.name == "*" or ENTRANCE in {alias.name, alias.asname} for alias in node.names
            ):
                return True
        elif isinstance(node, ast.Name) and node.id == ENTRANCE and isinstance(node.ctx, ast.Store):
            return True
    return False


def _old_words(module: ast.Module) -> Iterator[Remark]:
    """Yield a remark for each Python 2 name that fails once it is reached."""
    if any(_asks_for_names(node) for node in ast.walk(module)):
        return  # the code checks which Python it runs on
    missing = {name for name in _OLD_NAMES if not hasattr(builtins, name)} - _own_names(module)
    for node in ast.walk(module):
        name = ""
        if isinstance(node, ast.Name):
            name = node.id if node.id in missing else ""
        elif isinstance(node, ast.Attribute):
            whole = ast.unparse(node)
            name = whole if whole in _OLD_MEMBERS else ""
            name = f".{node.attr}()" if node.attr in _OLD_ATTRIBUTES else name
        if name:
            text = f"{name} is Python 2, and fails when it is reached"
            yield Remark("differs", getattr(node, "lineno", 0), text)


def _asks_for_names(node: ast.AST) -> bool:
    is_handler = isinstance(node, ast.ExceptHandler) and node.type is not None
    return is_handler and "NameError" in ast.unparse(node)


def _own_names(module: ast.Module) -> set[str]:
    """Return the names that a module binds."""
    names = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
    return names


def _remarks_on_environment(module: ast.Module, environment: Mapping[str, str]) -> Iterator[Remark]:
    for variable, line in environment_variables(module).items():
        if variable not in environment:
            yield Remark("environment", line, f"it needs the environment variable {variable}")


def _remarks_on_entrance(module: ast.Module, entrance: Entrance) -> Iterator[Remark]:
    for line, name in entrance.additions:
        yield Remark("differs", line, f"{name} is an addition of some versions, not known here")
    if len(entrance.function.args.args) != 1:
        yield Remark("broken", entrance.function.lineno, f"{ENTRANCE} takes one argument")
    functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    for registration in entrance.registrations:
        yield from _remarks_on(registration, functions)


def _remarks_on(
    registration: Registration, functions: Mapping[str, ast.FunctionDef]
) -> Iterator[Remark]:
    filters = filter_of(registration.match)
    for type_filter in filters or ():
        if type_filter.is_bare:
            text = (
                f"the attributes of {type_filter.event_type} are a bare string: taken as a list of"
                " one, where the classic daemon searches in it"
            )
            yield Remark("filter", registration.line, text)
    if isinstance(registration.match, list | str) and registration.match:
        yield Remark(
            "filter", registration.line, "the filter is no dict: taken as types, any attribute"
        )
    elif filters is None and isinstance(registration.match, int | float | bytes):
        yield Remark("filter", registration.line, "the filter is nothing that can be compared")
    if (
        isinstance(registration.match, Mapping)
        and "*" in registration.match
        and len(registration.match) > 1
    ):
        yield Remark(
            "filter", registration.line, 'the type "*" makes the other types in it useless'
        )
    function = (
        functions.get(registration.callback.name)
        if isinstance(registration.callback, Named)
        else None
    )
    if function is not None and not _takes(function, _CALL_ARGUMENTS):
        text = f"{function.name} cannot be called with (sg, logger, event, args): each call fails"
        yield Remark("differs", registration.line, text)
    if registration.stop_on_error is False:
        text = f"an error in {registration.callback_name} makes a dead letter, which can be retried"
        yield Remark("differs", registration.line, text)


def _takes(function: ast.FunctionDef, count: int) -> bool:
    """Return whether a function can be called with some arguments by position."""
    arguments = function.args
    positional = len(arguments.posonlyargs) + len(arguments.args)
    needed = positional - len(arguments.defaults)
    if any(default is None for default in arguments.kw_defaults):
        return False
    return needed <= count and (count <= positional or arguments.vararg is not None)


def fork_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder that some versions of the classic daemon load as plugins."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    return [
        entry
        for entry in entries
        if not entry.name.startswith((".", "_")) and (entry / "__init__.py").is_file()
    ]

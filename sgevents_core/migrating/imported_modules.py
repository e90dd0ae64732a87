"""The modules that a plugin file imports, and which of them exist. Nothing is imported."""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from sgevents_core.classic.python_two import RENAMED_MODULES
from sgevents_core.migrating.registrations import ENTRANCE
from sgevents_core.migrating.remarks import Remark, RemarkKind

_DAEMON_MODULES: Final = frozenset({"shotgunEventDaemon", "daemonizer", "importlib_wrapper"})


def imported_names(module: ast.Module) -> list[str]:
    """Return the names of the top modules that a module imports anywhere."""
    return list(dict.fromkeys(import_line.name for import_line in _imports_in(module)))


class ImportedModules:
    """The modules that a file imports: which exist, and which do not.

    Args:
        path: The file.
        search_path: Folders in which it finds modules.
    """

    def __init__(self, path: Path, search_path: Sequence[Path]) -> None:
        self._folder = path.parent
        self._search_path = search_path
        self.found: list[Path] = []

    def remarks_on(self, module: ast.Module) -> Iterator[Remark]:
        """Yield a remark for each module that is missing."""
        for name, line, is_certain, is_optional in _imports_in(module):
            if self._is_there(name) or is_optional:
                continue
            when = "" if is_certain else ", when it is called"
            if name in RENAMED_MODULES:
                kind: RemarkKind = "python 2" if is_certain else "differs"
                yield Remark(kind, line, f"Python 3 has no module {name}{when}")
            elif name in _DAEMON_MODULES:
                kind = "missing module" if is_certain else "differs"
                yield Remark(kind, line, f"{name} is a module of the classic daemon itself{when}")
            else:
                kind = "missing module" if is_certain else "differs"
                yield Remark(kind, line, f"module {name} is not installed here{when}")

    def _is_there(self, name: str) -> bool:
        if name in sys.builtin_module_names or name in sys.stdlib_module_names:
            return True
        if self._is_in(name, self._folder):
            return True
        for folder in self._search_path:
            if self._is_in(name, folder):
                self.found.append(folder)
                return True
        try:
            return importlib.util.find_spec(name) is not None
        except (ImportError, ValueError, AttributeError):
            return False

    def _is_in(self, name: str, folder: Path) -> bool:
        return importlib.machinery.PathFinder.find_spec(name, [str(folder)]) is not None


class _Import(NamedTuple):
    """One import.

    Args:
        name: The top module.
        line: Its line.
        is_certain: Whether loading the file reaches it.
        is_optional: Whether the file expects that it may fail.
    """

    name: str
    line: int
    is_certain: bool
    is_optional: bool


def _imports_in(
    node: ast.AST, *, is_certain: bool = True, is_optional: bool = False
) -> Iterator[_Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                name = alias.name.partition(".")[0]
                yield _Import(name, child.lineno, is_certain, is_optional)
        elif isinstance(child, ast.ImportFrom):
            if child.module and not child.level:
                name = child.module.partition(".")[0]
                yield _Import(name, child.lineno, is_certain, is_optional)
        elif isinstance(child, ast.Try):
            catches = any(_catches_imports(handler) for handler in child.handlers)
            yield from _imports_in(child, is_certain=is_certain, is_optional=is_optional or catches)
        else:
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            runs = not is_function or getattr(child, "name", "") == ENTRANCE
            yield from _imports_in(child, is_certain=is_certain and runs, is_optional=is_optional)


def _catches_imports(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    caught = ast.unparse(handler.type)
    return any(name in caught for name in ("ImportError", "ModuleNotFoundError", "Exception"))

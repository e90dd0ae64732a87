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


def imported_names(module_tree: ast.Module) -> list[str]:
    """Return the names of the top modules that a module imports anywhere."""
    return list(dict.fromkeys(import_line.name for import_line in _imports_in(module_tree)))


class ImportedModules:
    """The modules that a file imports: which exist, and which do not.

    Args:
        plugin_path: The file.
        search_path: Folders in which it finds modules.
    """

    def __init__(self, plugin_path: Path, search_path: Sequence[Path]) -> None:
        self._plugin_folder = plugin_path.parent
        self._search_path = search_path
        self.found: list[Path] = []

    def remarks_on(self, module_tree: ast.Module) -> Iterator[Remark]:
        """Yield a remark for each module that is missing."""
        for module_name, line_number, is_certain, is_optional in _imports_in(module_tree):
            if self._is_there(module_name) or is_optional:
                continue
            when_text = "" if is_certain else ", when it is called"
            if module_name in RENAMED_MODULES:
                remark_kind: RemarkKind = "python 2" if is_certain else "differs"
                yield Remark(
                    remark_kind, line_number, f"Python 3 has no module {module_name}{when_text}"
                )
            elif module_name in _DAEMON_MODULES:
                remark_kind = "missing module" if is_certain else "differs"
                yield Remark(
                    remark_kind,
                    line_number,
                    f"{module_name} is a module of the classic daemon itself{when_text}",
                )
            else:
                remark_kind = "missing module" if is_certain else "differs"
                yield Remark(
                    remark_kind,
                    line_number,
                    f"module {module_name} is not installed here{when_text}",
                )

    def _is_there(self, module_name: str) -> bool:
        if module_name in sys.builtin_module_names or module_name in sys.stdlib_module_names:
            return True
        if self._is_in(module_name, self._plugin_folder):
            return True
        for plugin_folder in self._search_path:
            if self._is_in(module_name, plugin_folder):
                self.found.append(plugin_folder)
                return True
        try:
            return importlib.util.find_spec(module_name) is not None
        except (ImportError, ValueError, AttributeError):
            return False

    def _is_in(self, module_name: str, plugin_folder: Path) -> bool:
        return (
            importlib.machinery.PathFinder.find_spec(module_name, [str(plugin_folder)]) is not None
        )


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
    syntax_node: ast.AST, *, is_certain: bool = True, is_optional: bool = False
) -> Iterator[_Import]:
    for child_node in ast.iter_child_nodes(syntax_node):
        if isinstance(child_node, ast.Import):
            for import_alias in child_node.names:
                module_name = import_alias.name.partition(".")[0]
                yield _Import(module_name, child_node.lineno, is_certain, is_optional)
        elif isinstance(child_node, ast.ImportFrom):
            if child_node.module and not child_node.level:
                module_name = child_node.module.partition(".")[0]
                yield _Import(module_name, child_node.lineno, is_certain, is_optional)
        elif isinstance(child_node, ast.Try):
            catches_errors = any(
                _catches_imports(except_handler) for except_handler in child_node.handlers
            )
            yield from _imports_in(
                child_node, is_certain=is_certain, is_optional=is_optional or catches_errors
            )
        else:
            is_function = isinstance(
                child_node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
            )
            runs_later = not is_function or getattr(child_node, "name", "") == ENTRANCE
            yield from _imports_in(
                child_node, is_certain=is_certain and runs_later, is_optional=is_optional
            )


def _catches_imports(except_handler: ast.ExceptHandler) -> bool:
    if except_handler.type is None:
        return True
    caught_types = ast.unparse(except_handler.type)
    return any(
        module_name in caught_types
        for module_name in ("ImportError", "ModuleNotFoundError", "Exception")
    )

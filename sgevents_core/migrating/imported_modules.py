"""The modules that a plugin file imports, and which of them exist. Nothing is imported."""

from __future__ import annotations

import ast
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from sgevents_core.classic.python_two import RENAMED_MODULES, is_removed_member
from sgevents_core.migrating.old_python import (
    checks_version,
    has_module,
    lacking_text,
    lacks_member,
)
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
        extends_path = _extends_search_path(module_tree)
        for module_import in _imports_in(module_tree):
            if module_import.is_optional:
                continue
            remark_kind, remark_text = self._remark_on(module_import, extends_path=extends_path)
            if module_import.is_certain and remark_text:
                yield Remark(remark_kind, module_import.line, remark_text)
            elif remark_text:
                yield Remark("differs", module_import.line, f"{remark_text}, when it is called")

    def _remark_on(self, module_import: _Import, *, extends_path: bool) -> tuple[RemarkKind, str]:
        """Return the remark on an import that loading reaches; an empty text if it works."""
        name, module_name = module_import.name, module_import.module
        old_name = module_name if module_name in RENAMED_MODULES else name
        if old_name in RENAMED_MODULES and (old_name != name or not self._is_there(name)):
            return "python 2", f"Python 3 has no module {old_name}"
        if name in sys.stdlib_module_names:
            return _remark_on_library(module_import)
        if self._is_there(name):
            return "differs", ""
        if name in _DAEMON_MODULES:
            return "missing module", f"{name} is a module of the classic daemon itself"
        if extends_path:
            missing_text = f"module {name} is not found here, but the file extends sys.path"
            return "differs", f"{missing_text}: --load shows whether it loads"
        return "missing module", f"module {name} is not installed here"

    def _is_there(self, module_name: str) -> bool:
        if self._is_in(module_name, self._plugin_folder):
            return True
        for plugin_folder in self._search_path:
            if self._is_in(module_name, plugin_folder):
                self.found.append(plugin_folder)
                return True
        return has_module(module_name)

    def _is_in(self, module_name: str, plugin_folder: Path) -> bool:
        return (
            importlib.machinery.PathFinder.find_spec(module_name, [str(plugin_folder)]) is not None
        )


def _remark_on_library(module_import: _Import) -> tuple[RemarkKind, str]:
    """Return the remark on an import from the standard library; an empty text if it works."""
    module_name = module_import.module
    if not has_module(module_name):
        return "broken", lacking_text(module_name)
    for member_name in module_import.members:
        if lacks_member(module_name, member_name):
            is_python_two = is_removed_member(module_name, member_name)
            lack_text = lacking_text(module_name, member_name)
            return "python 2" if is_python_two else "broken", lack_text
    return "differs", ""


def _extends_search_path(module_tree: ast.Module) -> bool:
    """Return whether a source changes where Python looks for modules."""
    changed_texts = [
        ast.unparse(syntax_node)
        for syntax_node in ast.walk(module_tree)
        if isinstance(syntax_node, ast.Attribute)
    ]
    return bool({"sys.path", "site.addsitedir"} & set(changed_texts))


class _Import(NamedTuple):
    """One import.

    Args:
        module: The module.
        members: The names that are imported from it.
        line: Its line.
        is_certain: Whether loading the file reaches it.
        is_optional: Whether the file expects that it may fail.
    """

    module: str
    members: tuple[str, ...]
    line: int
    is_certain: bool
    is_optional: bool

    @property
    def name(self) -> str:
        """The top module."""
        return self.module.partition(".")[0]


def _imports_in(
    syntax_node: ast.AST, *, is_certain: bool = True, is_optional: bool = False
) -> Iterator[_Import]:
    for child_node in ast.iter_child_nodes(syntax_node):
        if isinstance(child_node, ast.Import):
            for import_alias in child_node.names:
                yield _Import(import_alias.name, (), child_node.lineno, is_certain, is_optional)
        elif isinstance(child_node, ast.ImportFrom):
            if child_node.module and not child_node.level:
                member_names = tuple(
                    import_alias.name
                    for import_alias in child_node.names
                    if import_alias.name != "*"
                )
                yield _Import(
                    child_node.module, member_names, child_node.lineno, is_certain, is_optional
                )
        elif isinstance(child_node, ast.If) and checks_version(child_node.test):
            yield from _imports_in(child_node, is_certain=is_certain, is_optional=True)
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

"""The modules beside a classic plugin that it imports: they are taken along into a draft."""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from pathlib import Path

from sgevents_core.errors import NotDraftedError
from sgevents_core.migrating.imported_modules import imported_names
from sgevents_core.migrating.moved_source import moved_source
from sgevents_core.migrating.source_report import report_on
from sgevents_core.migrating.source_texts import read_source


def modules_beside(plugin_path: Path, module_tree: ast.Module) -> list[Path]:
    """Return the files beside a plugin that it imports, and those that they import.

    Of a package, these are all its modules.
    """
    module_paths: dict[Path, None] = {}
    module_trees = [module_tree]
    while module_trees:
        for module_name in imported_names(module_trees.pop()):
            for module_path in _files_of(plugin_path.parent, module_name):
                if module_path not in module_paths and module_path != plugin_path:
                    module_paths[module_path] = None
                    module_trees.append(_tree(module_path))
    return list(module_paths)


def _files_of(plugin_folder: Path, module_name: str) -> list[Path]:
    """Return the files of a module, or of a package with all its modules, in a folder."""
    package_folder = plugin_folder / module_name
    if (package_folder / "__init__.py").is_file():
        return sorted(package_folder.rglob("*.py"))
    module_path = plugin_folder / f"{module_name}.py"
    return [module_path] if module_path.is_file() else []


def packages_to_add(plugin_path: Path, neighbour_modules: Sequence[Path]) -> str:
    """Return a comment that names the modules for which dependencies have to be added.

    Args:
        plugin_path: The plugin's file.
        neighbour_modules: The files beside it that are taken along.
    """
    module_paths = [plugin_path, *neighbour_modules]
    own_modules = {
        module_path.relative_to(plugin_path.parent).parts[0].removesuffix(".py")
        for module_path in module_paths
    }
    imported_modules = {
        module_name
        for module_path in module_paths
        for module_name in imported_names(_tree(module_path))
    }
    foreign_modules = sorted(
        imported_modules - own_modules - sys.stdlib_module_names - {"__future__", "shotgun_api3"}
    )
    return (
        f"  # TRANSLATE: add the packages of {', '.join(foreign_modules)}"
        if foreign_modules
        else ""
    )


def _tree(module_path: Path) -> ast.Module:
    try:
        return ast.parse(module_path.read_bytes())
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def moved_module(module_path: Path, plugin_name: str) -> str:
    """Return the source of a module beside a plugin, without keys."""
    module_source = read_source(module_path)
    try:
        module_tree = ast.parse(module_source)
    except (SyntaxError, ValueError) as syntax_error:
        reason_text = (
            f"{module_path.name}, which it imports, cannot be read: {type(syntax_error).__name__}"
        )
        raise NotDraftedError(path=module_path, reason=reason_text) from None
    source_report = report_on(module_path)
    return moved_source(
        module_source, module_tree, source_report, plugin_name, keeps_entrance=True
    ).text

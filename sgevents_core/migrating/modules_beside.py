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


def modules_beside(path: Path, module: ast.Module) -> list[Path]:
    """Return the files beside a plugin that it imports, and those that they import."""
    module_paths: dict[Path, None] = {}
    modules = [module]
    while modules:
        for name in imported_names(modules.pop()):
            module_path = path.parent / f"{name}.py"
            if module_path in module_paths or module_path == path or not module_path.is_file():
                continue
            module_paths[module_path] = None
            modules.append(_tree(module_path))
    return list(module_paths)


def packages_to_add(paths: Sequence[Path]) -> str:
    """Return a comment that names the modules for which dependencies have to be added."""
    own_modules = {path.stem for path in paths}
    imported = {name for path in paths for name in imported_names(_tree(path))}
    foreign = sorted(
        imported - own_modules - sys.stdlib_module_names - {"__future__", "shotgun_api3"}
    )
    return f"  # TRANSLATE: add the packages of {', '.join(foreign)}" if foreign else ""


def _tree(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def moved_module(path: Path, plugin_name: str) -> str:
    """Return the source of a module beside a plugin, without keys."""
    source = path.read_text("utf-8", "surrogateescape")
    try:
        module = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        reason = f"{path.name}, which it imports, cannot be read: {type(error).__name__}"
        raise NotDraftedError(path=path, reason=reason) from None
    report = report_on(path)
    return moved_source(source, module, report, plugin_name, keeps_entrance=True).text

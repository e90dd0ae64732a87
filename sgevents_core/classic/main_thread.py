"""Find code that needs the main thread, in which the classic daemon loads and calls everything.

A lane calls its plugins in a thread of its own, and only a worker process in its main thread.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

_ENTRANCE: Final = "registerCallbacks"
_NEEDED_BY_CALLS: Final[Mapping[str, frozenset[str]]] = {
    "signal": frozenset({"signal", "siginterrupt", "set_wakeup_fd"}),
    "asyncio": frozenset({"get_event_loop"}),
}
"""Module -> its functions that fail in a call that is not made in the main thread."""
_NEEDED_BY_OBJECTS: Final[Mapping[str, frozenset[str]]] = {"sqlite3": frozenset({"connect"})}
"""Module -> its functions whose results fail in a thread other than the one that called them."""
_ANY_THREAD: Final = "check_same_thread"


class MainThreadUse(NamedTuple):
    """A line that makes callbacks fail that are not called in the main thread.

    Args:
        line: The line.
        function: What it calls: `signal.signal`.
    """

    line: int
    function: str

    @property
    def reason(self) -> str:
        """Why the plugin's calls must be made in the main thread, for people."""
        return f"{self.function} needs calls in the main thread, as the classic daemon makes them"

    @property
    def warning(self) -> str:
        """The reason, and how its calls get there, for people."""
        return f'{self.reason}: give its lane executor = "process"'


def main_thread_uses(module_tree: ast.Module) -> list[MainThreadUse]:
    """Return the code of a plugin that needs the main thread, as far as its tree shows it.

    Args:
        module_tree: The plugin's source.
    """
    imported_names = _imported_names(module_tree)
    return [
        MainThreadUse(call_node.lineno, function_name)
        for call_node, is_in_load in _calls(module_tree, is_in_load=True)
        if (function_name := _called_function(call_node, imported_names))
        and _needs_main_thread(call_node, function_name, is_in_load=is_in_load)
    ]


def _needs_main_thread(call_node: ast.Call, function_name: str, *, is_in_load: bool) -> bool:
    module_name, _, name = function_name.partition(".")
    if is_in_load:
        is_for_any_thread = any(keyword.arg == _ANY_THREAD for keyword in call_node.keywords)
        return name in _NEEDED_BY_OBJECTS.get(module_name, ()) and not is_for_any_thread
    return name in _NEEDED_BY_CALLS.get(module_name, ())


def _imported_names(module_tree: ast.Module) -> dict[str, str]:
    """Return the names under which a module knows others and their functions: `sg` -> `signal`."""
    imported_names: dict[str, str] = {}
    for syntax_node in ast.walk(module_tree):
        if isinstance(syntax_node, ast.Import):
            for alias in syntax_node.names:
                imported_names[alias.asname or alias.name] = alias.name
        elif isinstance(syntax_node, ast.ImportFrom) and not syntax_node.level:
            for alias in syntax_node.names:
                imported_names[alias.asname or alias.name] = f"{syntax_node.module}.{alias.name}"
    return imported_names


def _called_function(call_node: ast.Call, imported_names: Mapping[str, str]) -> str:
    """Return the whole name of the function that a call calls; empty if it was not imported."""
    called_node = call_node.func
    if isinstance(called_node, ast.Name):
        return imported_names.get(called_node.id, "")
    if isinstance(called_node, ast.Attribute) and isinstance(called_node.value, ast.Name):
        module_name = imported_names.get(called_node.value.id, "")
        return f"{module_name}.{called_node.attr}" if module_name else ""
    return ""


def _calls(syntax_node: ast.AST, *, is_in_load: bool) -> Iterator[tuple[ast.Call, bool]]:
    """Yield all calls below a node, and whether they are made when the file is loaded."""
    waiting_nodes = [(syntax_node, is_in_load)]
    while waiting_nodes:
        parent_node, is_in_load = waiting_nodes.pop()
        for child_node in ast.iter_child_nodes(parent_node):
            if isinstance(child_node, ast.Call):
                yield child_node, is_in_load
            is_function = isinstance(
                child_node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
            )
            runs_later = is_function and getattr(child_node, "name", "") != _ENTRANCE
            waiting_nodes.append((child_node, is_in_load and not runs_later))

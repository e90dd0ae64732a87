"""The `args` of a callback in a draft: a constant of the package, if its source shows its value."""

from __future__ import annotations

import ast
from typing import Final, NamedTuple

from sgevents_core.migrating.registrations import Entrance, Registration

_CHANGING: Final = frozenset({"append", "extend", "update", "setdefault", "insert", "add", "pop"})
"""The methods that change a list, a dict or a set."""


class ConstantArgs(NamedTuple):
    """The value passed to a callback as `args`: the constant's name, and its source."""

    constant: str
    source: str


def args_of(registration: Registration, plugin_entrance: Entrance) -> ConstantArgs | None:
    """Return the constant for a callback's `args`; None if the source has no plain value for it."""
    syntax_node = _argument(registration.node, 4, "args")
    if syntax_node is None or (isinstance(syntax_node, ast.Constant) and syntax_node.value is None):
        return ConstantArgs("", "None")
    constant_name = f"ARGS_{registration.line}"
    if isinstance(syntax_node, ast.Name):
        assigned_values = [
            assignment_node.value
            for assignment_node in ast.walk(plugin_entrance.function)
            if isinstance(assignment_node, ast.Assign)
            and [ast.unparse(assigned_target) for assigned_target in assignment_node.targets]
            == [syntax_node.id]
        ]
        if len(assigned_values) != 1 or _is_changed(syntax_node.id, plugin_entrance.function):
            return None
        constant_name, syntax_node = (
            syntax_node.id.strip("_").upper() or constant_name,
            assigned_values[0],
        )
    try:
        ast.literal_eval(syntax_node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return ConstantArgs(constant_name, ast.unparse(syntax_node))


def _is_changed(value_name: str, function_node: ast.FunctionDef) -> bool:
    """Return whether a function changes a value that it has assigned to a name."""
    for syntax_node in ast.walk(function_node):
        if (
            isinstance(syntax_node, ast.Subscript | ast.Attribute)
            and ast.unparse(syntax_node.value) == value_name
        ):
            is_method = isinstance(syntax_node, ast.Attribute) and syntax_node.attr in _CHANGING
            if is_method or not isinstance(syntax_node.ctx, ast.Load):
                return True
    return False


def _argument(
    registration_call: ast.Call, argument_position: int, argument_name: str
) -> ast.expr | None:
    if len(registration_call.args) > argument_position:
        return registration_call.args[argument_position]
    return next(
        (
            call_keyword.value
            for call_keyword in registration_call.keywords
            if call_keyword.arg == argument_name
        ),
        None,
    )

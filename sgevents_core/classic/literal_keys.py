"""Find the script keys written into classic files, so that none is shown."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

_KEY_ARGUMENTS: Final = ("sgScriptKey", "scriptKey")
_KEY_POSITION: Final = 1


def literal_keys(module_tree: ast.Module) -> Iterator[str]:
    """Yield the strings passed as keys to `registerCallback`: literals, or values of constants."""
    text_constants = dict(_constants(module_tree))
    for syntax_node in ast.walk(module_tree):
        if isinstance(syntax_node, ast.Call) and _is_registration(syntax_node.func):
            for key_argument in _key_arguments(syntax_node):
                if isinstance(key_argument, ast.Name):
                    yield from text_constants.get(key_argument.id, ())
                elif isinstance(key_argument, ast.Constant) and isinstance(key_argument.value, str):
                    yield key_argument.value


def _is_registration(called_function: ast.expr) -> bool:
    return isinstance(called_function, ast.Attribute) and called_function.attr == "registerCallback"


def _key_arguments(registration_call: ast.Call) -> list[ast.expr]:
    named_arguments = [
        call_keyword.value
        for call_keyword in registration_call.keywords
        if call_keyword.arg in _KEY_ARGUMENTS
    ]
    return [*registration_call.args[_KEY_POSITION : _KEY_POSITION + 1], *named_arguments]


def _constants(module_tree: ast.Module) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each name that is assigned a string anywhere in the file, with the string."""
    for syntax_node in ast.walk(module_tree):
        if not isinstance(syntax_node, ast.Assign) or not isinstance(
            syntax_node.value, ast.Constant
        ):
            continue
        constant_text = syntax_node.value.value
        for assigned_target in syntax_node.targets:
            if isinstance(assigned_target, ast.Name) and isinstance(constant_text, str):
                yield assigned_target.id, (constant_text,)

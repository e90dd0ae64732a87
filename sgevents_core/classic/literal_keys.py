"""Find the script keys written into classic files, so that none is shown."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

_KEY_ARGUMENTS: Final = ("sgScriptKey", "scriptKey")
_KEY_POSITION: Final = 1


def literal_keys(tree: ast.Module) -> Iterator[str]:
    """Yield the strings passed as keys to `registerCallback`: literals, or values of constants."""
    constants = dict(_constants(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _is_registration(node.func):
            for argument in _key_arguments(node):
                if isinstance(argument, ast.Name):
                    yield from constants.get(argument.id, ())
                elif isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value


def _is_registration(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr == "registerCallback"


def _key_arguments(call: ast.Call) -> list[ast.expr]:
    named = [keyword.value for keyword in call.keywords if keyword.arg in _KEY_ARGUMENTS]
    return [*call.args[_KEY_POSITION : _KEY_POSITION + 1], *named]


def _constants(tree: ast.Module) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each name that is assigned a string anywhere in the file, with the string."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Constant):
            continue
        text = node.value.value
        for target in node.targets:
            if isinstance(target, ast.Name) and isinstance(text, str):
                yield target.id, (text,)

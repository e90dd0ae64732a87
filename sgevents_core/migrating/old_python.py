"""Words of an older Python in a plugin's source: those that fail here, and those without effect."""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.util
import platform
import sys
from collections.abc import Iterator, Mapping
from typing import Final

from sgevents_core.classic.python_two import is_removed_member
from sgevents_core.migrating.remarks import Remark

_OLD_NAMES: Final = frozenset(
    {
        *("unicode", "basestring", "xrange", "raw_input", "unichr", "long", "file", "reduce"),
        *("execfile", "cmp", "reload", "apply", "buffer", "coerce", "intern"),
    }
)
_OLD_METHODS: Final = frozenset({"has_key", "iteritems", "itervalues", "iterkeys"})
_OLD_ATTRIBUTES: Final = frozenset({"func_code", "func_name", "im_class", "im_func", "im_self"})
_IGNORED_NAMES: Final = frozenset(
    {"__cmp__", "__metaclass__", "__nonzero__", "__unicode__", "print without ()"}
)
_NOT_IMPORTED: Final = frozenset({"antigravity", "idlelib", "this", "tkinter", "turtle"})
"""Modules of the standard library whose import does more than define names."""
_GUARDING_ERRORS: Final = ("NameError", "AttributeError", "ImportError", "ModuleNotFound")
_VERSION_CHECKS: Final = ("version_info", "PY2", "PY3", "python_version", "hasattr")
_PYTHON: Final = f"Python {'.'.join(platform.python_version_tuple()[:2])}"


def old_words(module_tree: ast.Module) -> Iterator[Remark]:
    """Yield a remark for each word of an older Python that fails, or has no effect.

    Args:
        module_tree: The plugin's source.
    """
    guarded_nodes = set(_guarded_nodes(module_tree))
    missing_names = {name for name in _OLD_NAMES if not hasattr(builtins, name)}
    missing_names -= _bound_names(module_tree)
    module_names = _imported_modules(module_tree)
    for syntax_node in ast.walk(module_tree):
        if syntax_node not in guarded_nodes:
            remark_text = _remark_on(syntax_node, missing_names, module_names)
            if remark_text:
                yield Remark("differs", getattr(syntax_node, "lineno", 0), remark_text)


def lacks_member(module_name: str, member_name: str) -> bool:
    """Return whether a module of the standard library lacks a member in this Python.

    Args:
        module_name: The module; of any other, the answer is False.
        member_name: The name in it.
    """
    top_module = module_name.partition(".")[0]
    if top_module not in sys.stdlib_module_names or top_module in _NOT_IMPORTED:
        return False
    try:
        library_module = importlib.import_module(module_name)
    except ImportError:  # a remark on the module itself says so
        return False
    return not hasattr(library_module, member_name) and not has_module(
        f"{module_name}.{member_name}"
    )


def has_module(module_name: str) -> bool:
    """Return whether a module can be found; packages that it is in are imported."""
    try:
        return importlib.util.find_spec(module_name) is not None
    except (ImportError, ValueError, AttributeError):
        return False


def lacking_text(module_name: str, member_name: str = "") -> str:
    """Say that this Python lacks a module, or a member of one: `Python 3 has no string.letters`."""
    is_python_two = bool(member_name) and is_removed_member(module_name, member_name)
    whole_name = f"{module_name}.{member_name}" if member_name else f"module {module_name}"
    return f"{'Python 3' if is_python_two else _PYTHON} has no {whole_name}"


def checks_version(test_node: ast.expr) -> bool:
    """Return whether a condition asks which Python it runs on, or what it has."""
    test_text = ast.unparse(test_node)
    return any(word in test_text for word in _VERSION_CHECKS)


def _remark_on(
    syntax_node: ast.AST, missing_names: set[str], module_names: Mapping[str, str]
) -> str:
    """Return the remark on a node; empty if there is none."""
    old_word = _old_word(syntax_node, missing_names)
    if old_word:
        return f"{old_word} is Python 2, and fails when it is reached"
    if _is_ignored(syntax_node):
        return f"{_defined_name(syntax_node)} is Python 2, and has no effect"
    if isinstance(syntax_node, ast.Attribute) and isinstance(syntax_node.value, ast.Name):
        module_name = module_names.get(syntax_node.value.id, "")
        if module_name and lacks_member(module_name, syntax_node.attr):
            whole_name = f"{module_name}.{syntax_node.attr}"
            if is_removed_member(module_name, syntax_node.attr):
                return f"{whole_name} is Python 2, and fails when it is reached"
            return f"{lacking_text(module_name, syntax_node.attr)}: it fails when it is reached"
    return ""


def _old_word(syntax_node: ast.AST, missing_names: set[str]) -> str:
    """Return the word of Python 2 that fails at a node; empty if there is none."""
    old_word = ""
    match syntax_node:
        case ast.BinOp(left=ast.Name(id="print"), op=ast.RShift()):
            old_word = "print >>"
        case ast.Raise(exc=ast.Constant()):
            old_word = "raise with a string"
        case ast.keyword(arg="cmp"):
            old_word = "sorting with cmp="
        case ast.Name(id=name) if name in missing_names:
            old_word = name
        case ast.Attribute(attr=name) if name in _OLD_METHODS:
            old_word = f".{name}()"
        case ast.Attribute(attr=name) if name in _OLD_ATTRIBUTES:
            old_word = f".{name}"
    return old_word


def _is_ignored(syntax_node: ast.AST) -> bool:
    return _defined_name(syntax_node) in _IGNORED_NAMES


def _defined_name(syntax_node: ast.AST) -> str:
    """Return the name that a function, or an assignment to one name, defines."""
    match syntax_node:
        case ast.FunctionDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
            return name
        case ast.Expr(value=ast.Name(id="print")):
            return "print without ()"
    return ""


def _guarded_nodes(module_tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes in code that checks which Python it runs on, or expects an error."""
    for syntax_node in ast.walk(module_tree):
        is_guard = isinstance(syntax_node, ast.If | ast.IfExp) and checks_version(syntax_node.test)
        if isinstance(syntax_node, ast.Try):
            is_guard = any(_expects_lack(handler) for handler in syntax_node.handlers)
        if is_guard:
            yield from ast.walk(syntax_node)


def _expects_lack(except_handler: ast.ExceptHandler) -> bool:
    caught_text = "" if except_handler.type is None else ast.unparse(except_handler.type)
    return any(error_name in caught_text for error_name in _GUARDING_ERRORS)


def _imported_modules(module_tree: ast.Module) -> dict[str, str]:
    """Return the modules that a source imports, by the names that stand for nothing else."""
    module_names: dict[str, str] = {}
    bound_otherwise: set[str] = set()
    for syntax_node in ast.walk(module_tree):
        if isinstance(syntax_node, ast.Import):
            for alias in syntax_node.names:
                bound_name = alias.asname or alias.name.partition(".")[0]
                module_name = alias.name if alias.asname else bound_name
                if module_names.setdefault(bound_name, module_name) != module_name:
                    bound_otherwise.add(bound_name)
        elif isinstance(syntax_node, ast.ImportFrom):
            bound_otherwise |= {alias.asname or alias.name for alias in syntax_node.names}
        elif isinstance(syntax_node, ast.Name) and not isinstance(syntax_node.ctx, ast.Load):
            bound_otherwise.add(syntax_node.id)
        elif isinstance(syntax_node, ast.arg):
            bound_otherwise.add(syntax_node.arg)
    return {name: module for name, module in module_names.items() if name not in bound_otherwise}


def _bound_names(module_tree: ast.Module) -> set[str]:
    """Return the names that a module binds."""
    bound_names = set()
    for syntax_node in ast.walk(module_tree):
        if isinstance(syntax_node, ast.Name) and not isinstance(syntax_node.ctx, ast.Load):
            bound_names.add(syntax_node.id)
        elif isinstance(syntax_node, ast.Import | ast.ImportFrom):
            bound_names |= {alias.asname or alias.name for alias in syntax_node.names}
        elif isinstance(syntax_node, ast.FunctionDef | ast.ClassDef):
            bound_names.add(syntax_node.name)
        elif isinstance(syntax_node, ast.arg):
            bound_names.add(syntax_node.arg)
    return bound_names

"""The values in a source, as far as its syntax tree shows them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

_DEEPEST: Final = 20


class Unknown(NamedTuple):
    """A value known only at run time; `text` is its expression, with string literals removed."""

    text: str


class FromEnvironment(NamedTuple):
    """The value of an environment variable; `has_default` if it need not be set."""

    variable: str
    has_default: bool = False


class Named(NamedTuple):
    """A function or class by its name, or an instance of one."""

    name: str


class WrittenValues:
    """The values of expressions in one function of a module.

    Args:
        module: The module.
        function: The function; None for the module itself.
    """

    def __init__(
        self, module: ast.Module, function: ast.FunctionDef | ast.AsyncFunctionDef | None = None
    ) -> None:
        self._assigned = dict(_assignments(module.body))
        self._defined = {
            node.name
            for node in ast.walk(module)
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
        }
        if function is not None:
            parameters = (
                *function.args.posonlyargs,
                *function.args.args,
                *function.args.kwonlyargs,
            )
            self._assigned.update(dict.fromkeys((parameter.arg for parameter in parameters), None))
            self._assigned.update(_assignments(function.body))

    def value_of(self, node: ast.expr | None, depth: int = 0) -> Any:
        """Return the value of an expression, with `Unknown` and the like for parts of it."""
        if node is None or depth > _DEEPEST:
            return Unknown("...")
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Attribute):
            return Named(ast.unparse(node))
        return self._compound(node, depth)

    def _compound(self, node: ast.expr, depth: int) -> Any:
        match node:
            case ast.Name():
                return self._named(node.id, depth)
            case ast.Dict():
                return self._dict(node, depth)
            case ast.List() | ast.Tuple() | ast.Set():
                return [self.value_of(each, depth + 1) for each in node.elts]
            case ast.BinOp():
                return self._combined(node, depth)
            case ast.Subscript() | ast.Call():
                return self._environment(node, depth) or self._item_or_call(node, depth)
        return _unknown(node)

    def _named(self, name: str, depth: int) -> Any:
        if name in self._assigned:
            assigned = self._assigned[name]
            return Unknown(name) if assigned is None else self.value_of(assigned, depth + 1)
        return Named(name) if name in self._defined else Unknown(name)

    def _dict(self, node: ast.Dict, depth: int) -> Any:
        pairs = {}
        for key, value in zip(node.keys, node.values, strict=True):
            key_value = self.value_of(key, depth + 1)
            if not isinstance(key_value, str):
                return _unknown(node)
            pairs[key_value] = self.value_of(value, depth + 1)
        return pairs

    def _combined(self, node: ast.BinOp, depth: int) -> Any:
        left, right = self.value_of(node.left, depth + 1), self.value_of(node.right, depth + 1)
        if (
            isinstance(node.op, ast.Add)
            and type(left) is type(right)
            and isinstance(left, str | list)
        ):
            return left + right
        if isinstance(node.op, ast.Mod) and isinstance(left, str):
            given = right if isinstance(right, list) else [right]
            if all(isinstance(each, str | int) for each in given):
                with suppress(TypeError, ValueError, KeyError):
                    return left % (tuple(right) if isinstance(right, list) else right)
        return _unknown(node)

    def _environment(self, node: ast.expr, depth: int) -> FromEnvironment | None:
        """Return the variable that an expression such as `os.environ["NAME"]` reads."""
        if isinstance(node, ast.Subscript) and _is_environ(node.value):
            name = self.value_of(node.slice, depth + 1)
            return FromEnvironment(name) if isinstance(name, str) else None
        if (
            isinstance(node, ast.Call)
            and node.args
            and ast.unparse(node.func)
            in {
                "os.environ.get",
                "os.getenv",
                "environ.get",
                "getenv",
            }
        ):
            name = self.value_of(node.args[0], depth + 1)
            return FromEnvironment(name, has_default=True) if isinstance(name, str) else None
        return None

    def _item_or_call(self, node: ast.expr, depth: int) -> Any:
        if isinstance(node, ast.Subscript):
            container, key = (
                self.value_of(node.value, depth + 1),
                self.value_of(node.slice, depth + 1),
            )
            is_known = isinstance(container, dict) and isinstance(key, str) and key in container
            return container[key] if is_known else _unknown(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            name = ast.unparse(node.func)
            return Named(f"{name}()") if name in self._defined else _unknown(node)
        return _unknown(node)


def environment_variables(module: ast.Module) -> dict[str, int]:
    """Return the environment variables that a module requires, and a line of each."""
    values = WrittenValues(module)
    variable_lines: dict[str, int] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            read = values.value_of(node) if _is_environ(node.value) else None
            if isinstance(read, FromEnvironment):
                variable_lines.setdefault(read.variable, node.lineno)
    return variable_lines


def _is_environ(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in {
        "os.environ",
        "environ",
    }


def _assignments(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield the names that statements assign, with the value of those assigned once."""
    values: dict[str, list[ast.expr | None]] = {}
    for node in _statements(body):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                simple = isinstance(target, ast.Name)
                for name in _names(target):
                    values.setdefault(name, []).append(node.value if simple else None)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            values.setdefault(node.target.id, []).append(node.value)
        elif isinstance(node, ast.AugAssign | ast.For):
            for name in _names(node.target):
                values.setdefault(name, []).append(None)
    for name, assigned in values.items():
        yield name, assigned[0] if len(assigned) == 1 else None


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements and those within them, but not those of functions and classes."""
    for node in body:
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                yield from _statements([child])
            elif isinstance(child, ast.ExceptHandler):
                yield from _statements(child.body)


def _names(target: ast.expr) -> Iterator[str]:
    return (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


def _unknown(node: ast.expr) -> Unknown:
    """Return an expression without its string literals, which may be secrets."""
    text = ast.unparse(_WithoutTexts().visit(ast.parse(ast.unparse(node), mode="eval")))
    return Unknown(text if len(text) <= 60 else text[:57] + "...")


class _WithoutTexts(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """Replace a string literal."""
        return ast.Constant("...") if isinstance(node.value, str | bytes) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        """Replace an f-string."""
        return ast.Constant("...")


def shown(value: Any) -> str:
    """Describe a value for people, never quoting an unknown one."""
    if isinstance(value, Unknown):
        return f"<{value.text}>"
    if isinstance(value, Named):
        return value.name
    if isinstance(value, FromEnvironment):
        return f"${value.variable}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{shown(key)}: {shown(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    return repr(value)

"""The values in a source, as far as its syntax tree shows them."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

_DEEPEST: Final = 20
_CHANGING_METHODS: Final = frozenset(
    {
        *("add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove"),
        *("reverse", "setdefault", "sort", "update"),
    }
)
"""The methods that change a dict, a list or a set."""


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
        module_tree: The module.
        function_node: The function; None for the module itself.
    """

    def __init__(
        self,
        module_tree: ast.Module,
        function_node: ast.FunctionDef | ast.AsyncFunctionDef | None = None,
    ) -> None:
        self._assigned_values = dict(_assignments(module_tree.body))
        self._defined_names = {
            syntax_node.name
            for syntax_node in ast.walk(module_tree)
            if isinstance(syntax_node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
        }
        if function_node is not None:
            function_parameters = (
                *function_node.args.posonlyargs,
                *function_node.args.args,
                *function_node.args.kwonlyargs,
            )
            self._assigned_values.update(
                dict.fromkeys(
                    (function_parameter.arg for function_parameter in function_parameters), None
                )
            )
            self._assigned_values.update(_assignments(function_node.body))

    def value_of(self, syntax_node: ast.expr | None, value_depth: int = 0) -> Any:
        """Return the value of an expression, with `Unknown` and the like for parts of it."""
        if syntax_node is None or value_depth > _DEEPEST:
            return Unknown("...")
        if isinstance(syntax_node, ast.Constant):
            return syntax_node.value
        if isinstance(syntax_node, ast.Attribute):
            return Named(ast.unparse(syntax_node))
        return self._compound(syntax_node, value_depth)

    def _compound(self, syntax_node: ast.expr, value_depth: int) -> Any:
        match syntax_node:
            case ast.Name():
                return self._named(syntax_node.id, value_depth)
            case ast.Dict():
                return self._dict(syntax_node, value_depth)
            case ast.List() | ast.Tuple() | ast.Set():
                return [
                    self.value_of(each_value, value_depth + 1) for each_value in syntax_node.elts
                ]
            case ast.BinOp():
                return self._combined(syntax_node, value_depth)
            case ast.Subscript() | ast.Call():
                return self._environment(syntax_node, value_depth) or self._item_or_call(
                    syntax_node, value_depth
                )
        return _unknown(syntax_node)

    def _named(self, variable_name: str, value_depth: int) -> Any:
        if variable_name in self._assigned_values:
            assigned_value = self._assigned_values[variable_name]
            return (
                Unknown(variable_name)
                if assigned_value is None
                else self.value_of(assigned_value, value_depth + 1)
            )
        return (
            Named(variable_name) if variable_name in self._defined_names else Unknown(variable_name)
        )

    def _dict(self, syntax_node: ast.Dict, value_depth: int) -> Any:
        key_values = {}
        for dict_key, dict_value in zip(syntax_node.keys, syntax_node.values, strict=True):
            key_value = self.value_of(dict_key, value_depth + 1)
            if not isinstance(key_value, str):
                return _unknown(syntax_node)
            key_values[key_value] = self.value_of(dict_value, value_depth + 1)
        return key_values

    def _dict_of_keywords(self, syntax_node: ast.Call, value_depth: int) -> Any:
        """Return the value of `dict(Shotgun_Task_Change=["content"])`."""
        keyword_values = {
            call_keyword.arg: self.value_of(call_keyword.value, value_depth + 1)
            for call_keyword in syntax_node.keywords
        }
        return _unknown(syntax_node) if None in keyword_values else keyword_values

    def _combined(self, syntax_node: ast.BinOp, value_depth: int) -> Any:
        left_value, right_value = (
            self.value_of(syntax_node.left, value_depth + 1),
            self.value_of(syntax_node.right, value_depth + 1),
        )
        if (
            isinstance(syntax_node.op, ast.Add)
            and type(left_value) is type(right_value)
            and isinstance(left_value, str | list)
        ):
            return left_value + right_value
        if isinstance(syntax_node.op, ast.Mod) and isinstance(left_value, str):
            given_value = right_value if isinstance(right_value, list) else [right_value]
            if all(isinstance(each_value, str | int) for each_value in given_value):
                with suppress(TypeError, ValueError, KeyError):
                    return left_value % (
                        tuple(right_value) if isinstance(right_value, list) else right_value
                    )
        return _unknown(syntax_node)

    def _environment(self, syntax_node: ast.expr, value_depth: int) -> FromEnvironment | None:
        """Return the variable that an expression such as `os.environ["NAME"]` reads."""
        if isinstance(syntax_node, ast.Subscript) and _is_environ(syntax_node.value):
            variable_name = self.value_of(syntax_node.slice, value_depth + 1)
            return FromEnvironment(variable_name) if isinstance(variable_name, str) else None
        if (
            isinstance(syntax_node, ast.Call)
            and syntax_node.args
            and ast.unparse(syntax_node.func)
            in {
                "os.environ.get",
                "os.getenv",
                "environ.get",
                "getenv",
            }
        ):
            variable_name = self.value_of(syntax_node.args[0], value_depth + 1)
            return (
                FromEnvironment(variable_name, has_default=True)
                if isinstance(variable_name, str)
                else None
            )
        return None

    def _item_or_call(self, syntax_node: ast.expr, value_depth: int) -> Any:
        if isinstance(syntax_node, ast.Subscript):
            container_value, dict_key = (
                self.value_of(syntax_node.value, value_depth + 1),
                self.value_of(syntax_node.slice, value_depth + 1),
            )
            is_known = (
                isinstance(container_value, dict)
                and isinstance(dict_key, str)
                and dict_key in container_value
            )
            return container_value[dict_key] if is_known else _unknown(syntax_node)
        if isinstance(syntax_node, ast.Call) and isinstance(
            syntax_node.func, ast.Name | ast.Attribute
        ):
            variable_name = ast.unparse(syntax_node.func)
            if variable_name == "dict" and not syntax_node.args:
                return self._dict_of_keywords(syntax_node, value_depth)
            return (
                Named(f"{variable_name}()")
                if variable_name in self._defined_names
                else _unknown(syntax_node)
            )
        return _unknown(syntax_node)


def environment_variables(module_tree: ast.Module) -> dict[str, int]:
    """Return the environment variables that a module requires, and a line of each."""
    written_values = WrittenValues(module_tree)
    variable_lines: dict[str, int] = {}
    for syntax_node in ast.walk(module_tree):
        if isinstance(syntax_node, ast.Subscript) and isinstance(syntax_node.ctx, ast.Load):
            read_value = (
                written_values.value_of(syntax_node) if _is_environ(syntax_node.value) else None
            )
            if isinstance(read_value, FromEnvironment):
                variable_lines.setdefault(read_value.variable, syntax_node.lineno)
    return variable_lines


def _is_environ(syntax_node: ast.expr) -> bool:
    return isinstance(syntax_node, ast.Attribute | ast.Name) and ast.unparse(syntax_node) in {
        "os.environ",
        "environ",
    }


def _assignments(statement_list: list[ast.stmt]) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield the names that statements assign, with the value of those assigned once."""
    written_values: dict[str, list[ast.expr | None]] = {}
    for syntax_node in _statements(statement_list):
        if isinstance(syntax_node, ast.Assign):
            for assigned_target in syntax_node.targets:
                is_simple = isinstance(assigned_target, ast.Name)
                for variable_name in _names(assigned_target):
                    written_values.setdefault(variable_name, []).append(
                        syntax_node.value if is_simple else None
                    )
        elif isinstance(syntax_node, ast.AnnAssign) and isinstance(syntax_node.target, ast.Name):
            written_values.setdefault(syntax_node.target.id, []).append(syntax_node.value)
        elif isinstance(syntax_node, ast.AugAssign | ast.For):
            for variable_name in _names(syntax_node.target):
                written_values.setdefault(variable_name, []).append(None)
        for variable_name in _changed_names(syntax_node):
            written_values.setdefault(variable_name, []).append(None)
    for variable_name, assigned_value in written_values.items():
        yield variable_name, assigned_value[0] if len(assigned_value) == 1 else None


def _changed_names(syntax_node: ast.stmt) -> Iterator[str]:
    """Yield the names whose values a statement changes: `filters.update(...)`, `del filters[0]`."""
    match syntax_node:
        case ast.Expr(ast.Call(ast.Attribute(ast.Name(variable_name), method_name))):
            if method_name in _CHANGING_METHODS:
                yield variable_name
        case ast.Delete(deleted_targets):
            for deleted_target in deleted_targets:
                yield from _names(deleted_target)


def _statements(statement_list: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements and those within them, but not those of functions and classes."""
    for syntax_node in statement_list:
        yield syntax_node
        if isinstance(syntax_node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for child_node in ast.iter_child_nodes(syntax_node):
            if isinstance(child_node, ast.stmt):
                yield from _statements([child_node])
            elif isinstance(child_node, ast.ExceptHandler):
                yield from _statements(child_node.body)


def _names(assigned_target: ast.expr) -> Iterator[str]:
    return (
        syntax_node.id
        for syntax_node in ast.walk(assigned_target)
        if isinstance(syntax_node, ast.Name)
    )


def _unknown(syntax_node: ast.expr) -> Unknown:
    """Return an expression without its string literals, which may be secrets."""
    expression_text = ast.unparse(_WithoutTexts().visit(copy.deepcopy(syntax_node)))
    return Unknown(expression_text if len(expression_text) <= 60 else expression_text[:57] + "...")


class _WithoutTexts(ast.NodeTransformer):
    def visit_Constant(self, syntax_node: ast.Constant) -> ast.expr:
        """Replace a string literal."""
        return ast.Constant("...") if isinstance(syntax_node.value, str | bytes) else syntax_node

    def visit_JoinedStr(self, syntax_node: ast.JoinedStr) -> ast.expr:
        """Replace an f-string."""
        return ast.Constant("...")


def shown(dict_value: Any) -> str:
    """Describe a value for people, never quoting an unknown one."""
    if isinstance(dict_value, Unknown):
        return f"<{dict_value.text}>"
    if isinstance(dict_value, Named):
        return dict_value.name
    if isinstance(dict_value, FromEnvironment):
        return f"${dict_value.variable}"
    if isinstance(dict_value, Mapping):
        return (
            "{"
            + ", ".join(
                f"{shown(dict_key)}: {shown(each_value)}"
                for dict_key, each_value in dict_value.items()
            )
            + "}"
        )
    if isinstance(dict_value, list):
        return "[" + ", ".join(map(shown, dict_value)) + "]"
    return repr(dict_value)

"""The callbacks that a classic plugin registers, as far as its syntax tree shows them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from sgevents_core.migrating.written_values import (
    FromEnvironment,
    Named,
    Unknown,
    WrittenValues,
    shown,
)

_POSITIONS: Final = ("script_name", "script_key", "callback", "match", "args", "stop_on_error")
_KEYWORDS: Final = {
    "sgScriptName": "script_name",
    "scriptName": "script_name",
    "sgScriptKey": "script_key",
    "scriptKey": "script_key",
    "callback": "callback",
    "matchEvents": "match",
    "args": "args",
    "stopOnError": "stop_on_error",
}
_KNOWN: Final = frozenset({"logger", "getLogger", "setEmails", "registerCallback"})
ENTRANCE: Final = "registerCallbacks"


class Registration(NamedTuple):
    """One call of `registerCallback`.

    Args:
        line: Its line.
        callback: The callback.
        match: Its filter.
        args: The object passed to it as `args`.
        stop_on_error: Whether an error stops the plugin.
        script_name: The script it signs in as.
        script_key: That script's key.
        repeated: Whether the call is in a loop, so that it may register several.
        node: The syntax node of the call, for rewriting it.
    """

    line: int
    callback: Any
    match: Any
    args: Any
    stop_on_error: Any
    script_name: Any
    script_key: Any
    repeated: bool
    node: ast.Call

    @property
    def callback_name(self) -> str:
        """The callback's name, for people."""
        return shown(self.callback)


class Addition(NamedTuple):
    """A use of a feature that only some versions of the classic daemon have."""

    line: int
    name: str


class Entrance(NamedTuple):
    """The function with which a plugin registers.

    Args:
        function: The function.
        registrar: The name of its parameter.
        registrations: The callbacks that it registers.
        additions: The additions of other versions that it uses.
        emails: The lines of calls of `setEmails`.
    """

    function: ast.FunctionDef
    registrar: str
    registrations: tuple[Registration, ...]
    additions: tuple[Addition, ...]
    emails: tuple[int, ...]


def entrance_of(module_tree: ast.Module) -> Entrance | None:
    """Return the function with which a plugin registers; None if the tree shows none."""
    function_nodes = [
        syntax_node
        for syntax_node in ast.walk(module_tree)
        if isinstance(syntax_node, ast.FunctionDef) and syntax_node.name == ENTRANCE
    ]
    if not function_nodes:
        return None
    function_node = function_nodes[-1]
    parameter_names = [*function_node.args.posonlyargs, *function_node.args.args]
    registrar_name = parameter_names[0].arg if parameter_names else ""
    registrations, fork_additions = [], []
    emails_calls = []
    for owner_function, registration_call, is_repeated in _calls_in(module_tree):
        if not isinstance(registration_call.func, ast.Attribute):
            continue
        if registration_call.func.attr == "registerCallback":
            written_values = WrittenValues(module_tree, owner_function)
            registration, unknown_names = _registration(
                registration_call, written_values, is_repeated=is_repeated
            )
            registrations.append(registration)
            fork_additions += unknown_names
        elif registration_call.func.attr == "setEmails":
            emails_calls.append(registration_call.lineno)
    for syntax_node in ast.walk(function_node):
        if isinstance(syntax_node, ast.Attribute) and isinstance(syntax_node.value, ast.Name):
            is_addition = syntax_node.value.id == registrar_name and syntax_node.attr not in _KNOWN
            if is_addition and not syntax_node.attr.startswith("__"):
                fork_additions.append(
                    Addition(syntax_node.lineno, f"{registrar_name}.{syntax_node.attr}")
                )
    return Entrance(
        function_node,
        registrar_name,
        tuple(
            sorted(
                registrations,
                key=lambda registration_made: (
                    registration_made.line,
                    registration_made.node.col_offset,
                ),
            )
        ),
        tuple(dict.fromkeys(fork_additions)),
        tuple(emails_calls),
    )


def _calls_in(
    module_tree: ast.Module,
) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef | None, ast.Call, bool]]:
    """Yield all calls, each with the function it is in, and whether it is in a loop there."""

    def walk(
        syntax_node: ast.AST,
        owner_function: ast.FunctionDef | ast.AsyncFunctionDef | None,
        is_repeated: bool,
    ) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef | None, ast.Call, bool]]:
        for child_node in ast.iter_child_nodes(syntax_node):
            if isinstance(child_node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from walk(child_node, child_node, False)
                continue
            if isinstance(child_node, ast.Call):
                yield owner_function, child_node, is_repeated
            loop_depth = isinstance(
                child_node, ast.For | ast.While | ast.ListComp | ast.GeneratorExp
            )
            yield from walk(child_node, owner_function, is_repeated or loop_depth)

    yield from walk(module_tree, None, False)


def _registration(
    syntax_node: ast.Call, written_values: WrittenValues, *, is_repeated: bool
) -> tuple[Registration, list[Addition]]:
    argument_values: dict[str, Any] = {}
    fork_additions = []
    for argument_position, argument_node in zip(_POSITIONS, syntax_node.args, strict=False):
        argument_values[argument_position] = written_values.value_of(argument_node)
    for call_keyword in syntax_node.keywords:
        argument_name = _KEYWORDS.get(call_keyword.arg or "")
        if call_keyword.arg is None:
            argument_values.update(
                {
                    argument_key: Unknown("**")
                    for argument_key in _POSITIONS
                    if argument_key not in argument_values
                }
            )
        elif argument_name is None:
            fork_additions.append(
                Addition(syntax_node.lineno, f"registerCallback({call_keyword.arg}=...)")
            )
        else:
            argument_values[argument_name] = written_values.value_of(call_keyword.value)
    if any(isinstance(argument_node, ast.Starred) for argument_node in syntax_node.args):
        argument_values = {argument_key: Unknown("*") for argument_key in _POSITIONS}
    missing_arguments = Unknown("missing")
    return (
        Registration(
            syntax_node.lineno,
            argument_values.get("callback", missing_arguments),
            argument_values.get("match"),
            argument_values.get("args"),
            argument_values.get("stop_on_error", True),
            argument_values.get("script_name", missing_arguments),
            argument_values.get("script_key", missing_arguments),
            is_repeated,
            syntax_node,
        ),
        fork_additions,
    )


class TypeFilter(NamedTuple):
    """The events of one type that a callback wants.

    Args:
        event_type: The type; `*` for every one.
        attributes: The attributes; None for any.
        is_bare: Whether they were written as a bare string.
    """

    event_type: str
    attributes: tuple[str, ...] | None
    is_bare: bool = False


def filter_of(match_value: Any) -> list[TypeFilter] | None:
    """Return the attributes a callback's filter matches, by type; None if only a run shows them."""
    if isinstance(match_value, Unknown | Named | FromEnvironment):
        return None
    if not match_value:
        return [TypeFilter("*", None)]
    if isinstance(match_value, str):
        match_value = [match_value]
    if isinstance(match_value, list):
        match_value = (
            dict.fromkeys(match_value)
            if all(isinstance(wanted_type, str) for wanted_type in match_value)
            else None
        )
    if not isinstance(match_value, Mapping):
        return None
    if "*" in match_value:
        match_value = {"*": match_value["*"]}
    type_filters = [
        _type_filter(event_type, wanted_attributes)
        for event_type, wanted_attributes in match_value.items()
    ]
    return (
        None
        if None in type_filters
        else [wanted_type for wanted_type in type_filters if wanted_type is not None]
    )


def _type_filter(event_type: str, wanted_attributes: Any) -> TypeFilter | None:
    if wanted_attributes is None:
        return TypeFilter(event_type, None)
    if isinstance(wanted_attributes, str):
        return TypeFilter(
            event_type, None if "*" in wanted_attributes else (wanted_attributes,), is_bare=True
        )
    if not isinstance(wanted_attributes, list) or not all(
        isinstance(attribute_value, str) for attribute_value in wanted_attributes
    ):
        return None
    return TypeFilter(event_type, None if "*" in wanted_attributes else tuple(wanted_attributes))


def shown_filter(match_value: Any) -> str:
    """Return a callback's filter for people."""
    type_filters = filter_of(match_value)
    if type_filters is None:
        return f"filter {shown(match_value)}, which only --load shows"
    shown_types = []
    for event_type, attribute_names, _ in type_filters:
        argument_name = "every type" if event_type == "*" else event_type
        shown_types.append(
            argument_name
            if attribute_names is None
            else f"{argument_name} [{', '.join(attribute_names)}]"
        )
    return "; ".join(shown_types)

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


def entrance_of(module: ast.Module) -> Entrance | None:
    """Return the function with which a plugin registers; None if the tree shows none."""
    functions = [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef) and node.name == ENTRANCE
    ]
    if not functions:
        return None
    function = functions[-1]
    parameters = [*function.args.posonlyargs, *function.args.args]
    registrar = parameters[0].arg if parameters else ""
    registrations, additions = [], []
    emails = []
    for owner, call, repeated in _calls_in(module):
        if not isinstance(call.func, ast.Attribute):
            continue
        if call.func.attr == "registerCallback":
            values = WrittenValues(module, owner)
            registration, unknown = _registration(call, values, repeated=repeated)
            registrations.append(registration)
            additions += unknown
        elif call.func.attr == "setEmails":
            emails.append(call.lineno)
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            is_addition = node.value.id == registrar and node.attr not in _KNOWN
            if is_addition and not node.attr.startswith("__"):
                additions.append(Addition(node.lineno, f"{registrar}.{node.attr}"))
    return Entrance(
        function,
        registrar,
        tuple(
            sorted(
                registrations,
                key=lambda registration_made: (
                    registration_made.line,
                    registration_made.node.col_offset,
                ),
            )
        ),
        tuple(dict.fromkeys(additions)),
        tuple(emails),
    )


def _calls_in(
    module: ast.Module,
) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef | None, ast.Call, bool]]:
    """Yield all calls, each with the function it is in, and whether it is in a loop there."""

    def walk(
        node: ast.AST, owner: ast.FunctionDef | ast.AsyncFunctionDef | None, repeated: bool
    ) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef | None, ast.Call, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from walk(child, child, False)
                continue
            if isinstance(child, ast.Call):
                yield owner, child, repeated
            loops = isinstance(child, ast.For | ast.While | ast.ListComp | ast.GeneratorExp)
            yield from walk(child, owner, repeated or loops)

    yield from walk(module, None, False)


def _registration(
    node: ast.Call, values: WrittenValues, *, repeated: bool
) -> tuple[Registration, list[Addition]]:
    arguments: dict[str, Any] = {}
    additions = []
    for position, argument in zip(_POSITIONS, node.args, strict=False):
        arguments[position] = values.value_of(argument)
    for keyword in node.keywords:
        name = _KEYWORDS.get(keyword.arg or "")
        if keyword.arg is None:
            arguments.update({key: Unknown("**") for key in _POSITIONS if key not in arguments})
        elif name is None:
            additions.append(Addition(node.lineno, f"registerCallback({keyword.arg}=...)"))
        else:
            arguments[name] = values.value_of(keyword.value)
    if any(isinstance(argument, ast.Starred) for argument in node.args):
        arguments = {key: Unknown("*") for key in _POSITIONS}
    missing = Unknown("missing")
    return (
        Registration(
            node.lineno,
            arguments.get("callback", missing),
            arguments.get("match"),
            arguments.get("args"),
            arguments.get("stop_on_error", True),
            arguments.get("script_name", missing),
            arguments.get("script_key", missing),
            repeated,
            node,
        ),
        additions,
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


def filter_of(match: Any) -> list[TypeFilter] | None:
    """Return the attributes a callback's filter matches, by type; None if only a run shows them."""
    if isinstance(match, Unknown | Named | FromEnvironment):
        return None
    if not match:
        return [TypeFilter("*", None)]
    if isinstance(match, str):
        match = [match]
    if isinstance(match, list):
        match = (
            dict.fromkeys(match)
            if all(isinstance(wanted_type, str) for wanted_type in match)
            else None
        )
    if not isinstance(match, Mapping):
        return None
    if "*" in match:
        match = {"*": match["*"]}
    filters = [_type_filter(event_type, wanted) for event_type, wanted in match.items()]
    return (
        None
        if None in filters
        else [wanted_type for wanted_type in filters if wanted_type is not None]
    )


def _type_filter(event_type: str, wanted: Any) -> TypeFilter | None:
    if wanted is None:
        return TypeFilter(event_type, None)
    if isinstance(wanted, str):
        return TypeFilter(event_type, None if "*" in wanted else (wanted,), is_bare=True)
    if not isinstance(wanted, list) or not all(isinstance(each, str) for each in wanted):
        return None
    return TypeFilter(event_type, None if "*" in wanted else tuple(wanted))


def shown_filter(match: Any) -> str:
    """Return a callback's filter for people."""
    filters = filter_of(match)
    if filters is None:
        return f"filter {shown(match)}, which only --load shows"
    shown_types = []
    for event_type, attributes, _ in filters:
        name = "every type" if event_type == "*" else event_type
        shown_types.append(name if attributes is None else f"{name} [{', '.join(attributes)}]")
    return "; ".join(shown_types)

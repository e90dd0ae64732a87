"""The page on log actions knows every action that the source can log, with its fields."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeGuard, get_args, get_type_hints

import sgevents_core
from sgevents_core.dispatch import alerting
from sgevents_core.plugins.plugin_status import Status
from sgevents_core.site import notices
from sgevents_core.site.ranges import Span
from sgevents_core.state.requests import RequestAnswer

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "log-actions.md").read_text("utf-8")
SOURCE = Path(sgevents_core.__file__).parent
SILENT: Final = {"sandbox", "testing"}
"""Parts that log nothing; `action` means something else there."""
MADE_BY: Final = {"Saying": 1}
"""Class whose instances carry an action -> which argument it is."""
NOTICES: Final = (
    notices.BacklogTimedOut((Span(7, 9),), 300.0),
    notices.LateRowsFound(2),
    notices.RowsVanished((7,)),
    notices.RowsParked((Span(7, 2007),)),
    notices.EventSetAside("7", "its created_at is no time"),
    notices.LogRewound("the site's log is empty"),
    notices.LogResumed(),
)
"""One of each kind."""
CALCULATED: Final = {
    "f'plugin.{status.status.replace(' ', '_')}'": {
        f"plugin.{status.replace(' ', '_')}" for status in get_args(Status)
    },
    "f'callback.{_ACTIONS[failure.outcome]}'": {
        f"callback.{name}" for name in alerting._ACTIONS.values()
    },
    "f'request.{answer.outcome}'": {
        f"request.{outcome}" for outcome in get_args(get_type_hints(RequestAnswer)["outcome"])
    },
    "notice.action": {notice.action for notice in NOTICES},
    "trouble_saying.action": set(),  # of what MADE_BY makes
}
"""How the source calculates an action -> what can come of it."""


class Logged(NamedTuple):
    """An action, the fields beside it, and where it is logged."""

    action: str
    fields: frozenset[str]
    where: str


def in_source() -> Iterator[Logged]:
    """Everything that can be logged."""
    for file in sorted(SOURCE.rglob("*.py")):
        part = file.relative_to(SOURCE)
        if part.parts[0] not in SILENT and not file.name.startswith("_demo"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                for action, fields in of_node(node):
                    yield Logged(action, frozenset(fields), f"{part}:{getattr(node, 'lineno', 0)}")


def of_node(node: ast.AST) -> Iterator[tuple[str, set[str]]]:
    """The actions in one node: of a dict, an instance that carries one, a default."""
    if is_dict(node):
        values = {k.value: v for k, v in zip(node.keys, node.values, strict=True) if is_constant(k)}
        if "action" in values:
            fields = {str(key) for key in values if key != "action"}
            yield from ((action, fields) for action in actions_of(values["action"]))
    elif isinstance(node, ast.Call):
        yield from of_call(node)


def of_call(node: ast.Call) -> Iterator[tuple[str, set[str]]]:
    """The actions that a call brings with it."""
    name = ast.unparse(node.func)
    if name in MADE_BY:
        yield from ((one, set()) for one in actions_of(node.args[MADE_BY[name]]))
    elif name.endswith(".setdefault") and ast.unparse(node.args[0]) == "'action'":
        yield from ((one, set()) for one in actions_of(node.args[1]))


def actions_of(value: ast.expr) -> set[str]:
    """What an expression can be: a text, one of two, or what is known of how it is calculated."""
    if isinstance(value, ast.Constant):
        return {str(value.value)}
    if isinstance(value, ast.IfExp):
        return actions_of(value.body) | actions_of(value.orelse)
    written = re.sub(r"\\?[\"']", "'", ast.unparse(value))  # each Python has its own quotes
    assert written in CALCULATED, f"say in CALCULATED what can come of {written}"
    return CALCULATED[written]


def is_dict(node: object) -> TypeGuard[ast.Dict]:
    """Whether a node is a dict as it is written."""
    return isinstance(node, ast.Dict)


def is_constant(node: object) -> TypeGuard[ast.Constant]:
    """Whether a node is a value as it is written."""
    return isinstance(node, ast.Constant)


LOGGED = list(in_source())
ROWS = {
    row[0]: row
    for row in (
        re.split(r"\s*\|\s*", line)
        for line in re.findall(r"^\| (`[a-z]+\.[a-z_]+` .*) \|$", PAGE, re.MULTILINE)
    )
}


def test_every_action_of_the_source_is_on_the_page() -> None:
    """What watches the logs can rely on the page."""
    missing = {one.action: one.where for one in LOGGED if f"`{one.action}`" not in ROWS}
    assert missing == {}


def test_the_page_has_no_action_that_is_not_logged() -> None:
    """An action that was removed leaves the page too."""
    assert set(ROWS) == {f"`{one.action}`" for one in LOGGED}
    assert len(LOGGED) > 30


def test_every_field_of_an_action_is_on_the_page() -> None:
    """Each action has its own fields, and a sentence that says what to do."""
    for action, fields, where in LOGGED:
        row = ROWS[f"`{action}`"]
        assert len(row) == 4, row
        assert fields <= set(re.findall(r"`(\w+)`", row[2])), (action, where)
        assert row[3].endswith(".")


def test_every_kind_of_notice_is_on_the_page_with_its_level_and_fields() -> None:
    """As it is logged: a kind that is added has to be shown here, too."""
    kinds = notices.Notice.__subclasses__()
    assert {notice.action for notice in NOTICES} == {kind.action for kind in kinds}
    for notice in NOTICES:
        row = ROWS[f"`{notice.action}`"]
        assert row[1] == logging.getLevelName(notice.level).lower()
        assert notice.fields.keys() <= set(re.findall(r"`(\w+)`", row[2])), notice


LEVELS: Final = {
    **{level: level for level in ("debug", "info", "warning", "error")},
    "exception": "error",
    "log": "",  # calculated
}
"""How a record is logged -> its level."""


def levels_in_source() -> Iterator[tuple[str, str]]:
    """The actions that are logged where they are named, each with its level."""
    for file in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("logger."):
                for one in node.keywords:
                    if one.arg == "extra":
                        level = LEVELS[ast.unparse(node.func).removeprefix("logger.")]
                        yield from ((action, level) for action, _ in of_node(one.value))


def test_levels_on_the_page_are_those_of_the_source() -> None:
    """As far as an action is named where it is logged."""
    found = set(levels_in_source())
    assert len(found) > 20
    assert {one for one in found if one[1] and ROWS[f"`{one[0]}`"][1] != one[1]} == set()


def test_levels_on_the_page_are_levels() -> None:
    """Of the standard library's logging."""
    levels = {row[1] for row in ROWS.values()}
    assert levels <= {"debug", "info", "warning", "error", "any"}

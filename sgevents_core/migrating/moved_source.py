"""Take over the source of a classic plugin, unchanged except that keys are removed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from sgevents_core.migrating.source_report import SourceReport
from sgevents_core.migrating.written_keys import is_placeholder

_BLANK_LINES: Final = re.compile(r"\n{4,}")


class MovedSource(NamedTuple):
    """The source taken over into the draft.

    Args:
        text: The module of callbacks.
        entrance_rest: The other statements of its registering function; empty if none.
        variables: The variables that hold keys now, each with the key's line.
    """

    text: str
    entrance_rest: str
    variables: Sequence[tuple[str, int]]


class _Edit(NamedTuple):
    """A change of the source, in bytes."""

    begin: int
    end: int
    text: bytes


def moved_source(
    source: str, module: ast.Module, report: SourceReport, name: str, *, keeps_entrance: bool
) -> MovedSource:
    """Return a source without the keys in it, and if wanted without the function that registers.

    Args:
        source: The source.
        module: Its syntax tree.
        report: The report on it.
        name: The plugin's name, for the names of variables.
        keeps_entrance: Whether it keeps the function that registers.
    """
    lines = _Lines(source)
    prefix = "SGEVENTS_" + name.upper().replace("-", "_")
    names: dict[str, str] = {}
    variables: list[tuple[str, int]] = []
    edits = []
    for node in _key_nodes(module, report):
        if lines.value_at(node) != node.value:
            continue  # a part of an f-string
        variable = names.setdefault(str(node.value), f"{prefix}_SECRET_{len(names) + 1}")
        variables.append((variable, node.lineno))
        edits.append(lines.edit(node, f'os.environ.get("{variable}", "")'))
    entrance = report.entrance
    entrance_rest = ""
    if entrance is not None and not keeps_entrance:
        inside = [edit for edit in edits if lines.holds(entrance.function, edit)]
        text = lines.changed(inside)
        function = next(
            node
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef) and node.name == entrance.function.name
        )
        entrance_rest = _without_registrations(function)
        edits = [edit for edit in edits if edit not in inside]
        edits.append(lines.edit(entrance.function, "", decorated=True))
        kept = {edit.begin for edit in edits}
        variables = [each for each in variables if _is_kept(each, edits, kept)]
    text = lines.changed(edits)
    if variables:
        text = with_lines(text, "import os\n")
    text = _BLANK_LINES.sub("\n\n\n", text).rstrip("\n") + "\n"
    return MovedSource(
        without_keys(text, report),
        without_keys(entrance_rest, report),
        tuple(dict.fromkeys(variables)),
    )


def without_keys(text: str, report: SourceReport) -> str:
    """Return a text with all keys removed, including those in comments."""
    for key in sorted(report.secrets, key=len, reverse=True):
        if not is_placeholder(key):
            text = text.replace(key, "TRANSLATE-a-key-was-here")
    return text


def with_path(text: str) -> str:
    """Return a source changed to import the modules that were beside it."""
    return with_lines(
        text,
        "import os\n"
        "import sys\n"
        "\n"
        "# TRANSLATE: the modules beside this one can be imported by their full name instead.\n"
        "sys.path.append(os.path.dirname(__file__))\n",
    )


def _is_kept(variable: tuple[str, int], edits: Sequence[_Edit], kept_begins: set[int]) -> bool:
    return any(variable[0].encode() in edit.text and edit.begin in kept_begins for edit in edits)


def _key_nodes(module: ast.Module, report: SourceReport) -> Iterator[ast.Constant]:
    """Yield the string nodes in a source that hold keys, in order."""
    nodes = [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value in report.secrets
        and not is_placeholder(node.value)
    ]
    yield from sorted(nodes, key=lambda node: (node.lineno, node.col_offset))


def _without_registrations(function: ast.FunctionDef) -> str:
    """Return the statements of a function that do more than register or document."""
    kept_statements = [
        node
        for node in function.body
        if not _registers(node) and not _is_plain(node) and not _is_text(node)
    ]
    return "\n".join(ast.unparse(node) for node in kept_statements)


def _registers(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr == "registerCallback"
    )


def _is_plain(node: ast.stmt) -> bool:
    """Return whether a statement only gives a name to a value; hooks have taken that over."""
    if not isinstance(node, ast.Assign):
        return isinstance(node, ast.Pass)
    return not any(isinstance(part, ast.Call) for part in ast.walk(node.value))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


class _Lines:
    """A source in which places of a syntax tree can be found: those count bytes of UTF-8."""

    def __init__(self, source: str) -> None:
        self._content = source.encode("utf-8", "surrogateescape")
        self._begins = [0]
        for line in self._content.splitlines(keepends=True):
            self._begins.append(self._begins[-1] + len(line))

    def edit(self, node: ast.expr | ast.stmt, text: str, *, decorated: bool = False) -> _Edit:
        """Return the change of a node to a text; with its decorators if wanted."""
        line, column = node.lineno, node.col_offset
        if decorated and isinstance(node, ast.FunctionDef) and node.decorator_list:
            line = node.decorator_list[0].lineno
        end_line = node.end_lineno or line
        begin = self._begins[line - 1] + column
        return _Edit(begin, self._begins[end_line - 1] + (node.end_col_offset or 0), text.encode())

    def value_at(self, node: ast.expr) -> object:
        """Return the value in the source at the position of a string node."""
        edit = self.edit(node, "")
        try:
            return ast.literal_eval(self._content[edit.begin : edit.end].decode())
        except (ValueError, SyntaxError, TypeError):
            return None

    def holds(self, node: ast.stmt, edit: _Edit) -> bool:
        """Return whether a change lies in a node."""
        whole = self.edit(node, "")
        return whole.begin <= edit.begin and edit.end <= whole.end

    def changed(self, edits: Sequence[_Edit]) -> str:
        """Return the source after some changes."""
        content = self._content
        for edit in sorted(edits, reverse=True):
            content = content[: edit.begin] + edit.text + content[edit.end :]
        return content.decode("utf-8", "surrogateescape")


def with_lines(text: str, added: str) -> str:
    """Return a source with lines before all others but its docstring and future imports."""
    module = ast.parse(text)
    after = 0
    for node in module.body:
        is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if not (_is_text(node) or is_future):
            break
        after = node.end_lineno or after
    lines = text.splitlines(keepends=True)
    return "".join([*lines[:after], added, *lines[after:]])

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
    file_source: str,
    module_tree: ast.Module,
    source_report: SourceReport,
    key_name: str,
    *,
    keeps_entrance: bool,
) -> MovedSource:
    """Return a source without the keys in it, and if wanted without the function that registers.

    Args:
        file_source: The source.
        module_tree: Its syntax tree.
        source_report: The report on it.
        key_name: The plugin's name, for the names of variables.
        keeps_entrance: Whether it keeps the function that registers.
    """
    source_lines = _Lines(file_source)
    variable_prefix = "SGEVENTS_" + key_name.upper().replace("-", "_")
    key_names: dict[str, str] = {}
    key_variables: list[tuple[str, int]] = []
    source_edits = []
    for syntax_node in _key_nodes(module_tree, source_report):
        if source_lines.value_at(syntax_node) != syntax_node.value:
            continue  # a part of an f-string
        variable_name = key_names.setdefault(
            str(syntax_node.value), f"{variable_prefix}_SECRET_{len(key_names) + 1}"
        )
        key_variables.append((variable_name, syntax_node.lineno))
        source_edits.append(
            source_lines.edit(syntax_node, f'os.environ.get("{variable_name}", "")')
        )
    plugin_entrance = source_report.entrance
    entrance_rest = ""
    if plugin_entrance is not None and not keeps_entrance:
        inner_edits = [
            source_edit
            for source_edit in source_edits
            if source_lines.holds(plugin_entrance.function, source_edit)
        ]
        source_text = source_lines.changed(inner_edits)
        function_node = next(
            syntax_node
            for syntax_node in ast.walk(ast.parse(source_text))
            if isinstance(syntax_node, ast.FunctionDef)
            and syntax_node.name == plugin_entrance.function.name
        )
        entrance_rest = _without_registrations(function_node)
        source_edits = [
            source_edit for source_edit in source_edits if source_edit not in inner_edits
        ]
        source_edits.append(source_lines.edit(plugin_entrance.function, "", with_decorators=True))
        kept_edits = {source_edit.begin for source_edit in source_edits}
        key_variables = [
            key_variable
            for key_variable in key_variables
            if _is_kept(key_variable, source_edits, kept_edits)
        ]
    source_text = source_lines.changed(source_edits)
    if key_variables:
        source_text = with_lines(source_text, "import os\n")
    source_text = _BLANK_LINES.sub("\n\n\n", source_text).rstrip("\n") + "\n"
    return MovedSource(
        without_keys(source_text, source_report),
        without_keys(entrance_rest, source_report),
        tuple(dict.fromkeys(key_variables)),
    )


def without_keys(source_text: str, source_report: SourceReport) -> str:
    """Return a text with all keys removed, including those in comments."""
    for secret_key in sorted(source_report.secrets, key=len, reverse=True):
        if not is_placeholder(secret_key):
            source_text = source_text.replace(secret_key, "TRANSLATE-a-key-was-here")
    return source_text


def with_path(source_text: str) -> str:
    """Return a source changed to import the modules that were beside it."""
    return with_lines(
        source_text,
        "import os\n"
        "import sys\n"
        "\n"
        "# TRANSLATE: the modules beside this one can be imported by their full name instead.\n"
        "sys.path.append(os.path.dirname(__file__))\n",
    )


def _is_kept(
    key_variable: tuple[str, int], source_edits: Sequence[_Edit], kept_begins: set[int]
) -> bool:
    return any(
        key_variable[0].encode() in source_edit.text and source_edit.begin in kept_begins
        for source_edit in source_edits
    )


def _key_nodes(module_tree: ast.Module, source_report: SourceReport) -> Iterator[ast.Constant]:
    """Yield the string nodes in a source that hold keys, in order."""
    nodes = [
        syntax_node
        for syntax_node in ast.walk(module_tree)
        if isinstance(syntax_node, ast.Constant)
        and isinstance(syntax_node.value, str)
        and syntax_node.value in source_report.secrets
        and not is_placeholder(syntax_node.value)
    ]
    yield from sorted(nodes, key=lambda node: (node.lineno, node.col_offset))


def _without_registrations(function_node: ast.FunctionDef) -> str:
    """Return the statements of a function that do more than register or document."""
    kept_statements = [
        syntax_node
        for syntax_node in function_node.body
        if not _registers(syntax_node) and not _is_plain(syntax_node) and not _is_text(syntax_node)
    ]
    return "\n".join(ast.unparse(syntax_node) for syntax_node in kept_statements)


def _registers(syntax_node: ast.stmt) -> bool:
    return (
        isinstance(syntax_node, ast.Expr)
        and isinstance(syntax_node.value, ast.Call)
        and isinstance(syntax_node.value.func, ast.Attribute)
        and syntax_node.value.func.attr == "registerCallback"
    )


def _is_plain(syntax_node: ast.stmt) -> bool:
    """Return whether a statement only gives a name to a value; hooks have taken that over."""
    if not isinstance(syntax_node, ast.Assign):
        return isinstance(syntax_node, ast.Pass)
    return not any(isinstance(node_part, ast.Call) for node_part in ast.walk(syntax_node.value))


def _is_text(syntax_node: ast.stmt) -> bool:
    return isinstance(syntax_node, ast.Expr) and isinstance(syntax_node.value, ast.Constant)


class _Lines:
    """A source in which places of a syntax tree can be found: those count bytes of UTF-8."""

    def __init__(self, file_source: str) -> None:
        self._source_content = file_source.encode()
        self._line_offsets = [0]
        for source_line in self._source_content.splitlines(keepends=True):
            self._line_offsets.append(self._line_offsets[-1] + len(source_line))

    def edit(
        self, syntax_node: ast.expr | ast.stmt, source_text: str, *, with_decorators: bool = False
    ) -> _Edit:
        """Return the change of a node to a text; with its decorators if wanted."""
        line_number, column_offset = syntax_node.lineno, syntax_node.col_offset
        if (
            with_decorators
            and isinstance(syntax_node, ast.FunctionDef)
            and syntax_node.decorator_list
        ):
            line_number = syntax_node.decorator_list[0].lineno
        end_line = syntax_node.end_lineno or line_number
        begin_offset = self._line_offsets[line_number - 1] + column_offset
        return _Edit(
            begin_offset,
            self._line_offsets[end_line - 1] + (syntax_node.end_col_offset or 0),
            source_text.encode(),
        )

    def value_at(self, syntax_node: ast.expr) -> object:
        """Return the value in the source at the position of a string node."""
        source_edit = self.edit(syntax_node, "")
        try:
            return ast.literal_eval(
                self._source_content[source_edit.begin : source_edit.end].decode()
            )
        except (ValueError, SyntaxError, TypeError):
            return None

    def holds(self, syntax_node: ast.stmt, source_edit: _Edit) -> bool:
        """Return whether a change lies in a node."""
        whole_node = self.edit(syntax_node, "")
        return whole_node.begin <= source_edit.begin and source_edit.end <= whole_node.end

    def changed(self, source_edits: Sequence[_Edit]) -> str:
        """Return the source after some changes."""
        source_content = self._source_content
        for source_edit in sorted(source_edits, reverse=True):
            source_content = (
                source_content[: source_edit.begin]
                + source_edit.text
                + source_content[source_edit.end :]
            )
        return source_content.decode()


def with_lines(source_text: str, added_lines: str) -> str:
    """Return a source with lines before all others but its docstring and future imports."""
    module_tree = ast.parse(source_text)
    after_node = 0
    for syntax_node in module_tree.body:
        is_future = isinstance(syntax_node, ast.ImportFrom) and syntax_node.module == "__future__"
        if not (_is_text(syntax_node) or is_future):
            break
        after_node = syntax_node.end_lineno or after_node
    source_lines = source_text.splitlines(keepends=True)
    return "".join([*source_lines[:after_node], added_lines, *source_lines[after_node:]])

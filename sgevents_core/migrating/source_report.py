"""The report on a classic plugin file, from its syntax tree alone; no code is run."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from sgevents_core.classic.main_thread import main_thread_uses
from sgevents_core.classic.source_problems import problem_of
from sgevents_core.migrating.imported_modules import ImportedModules
from sgevents_core.migrating.old_python import old_words
from sgevents_core.migrating.registrations import (
    ENTRANCE,
    Entrance,
    Registration,
    entrance_of,
    filter_of,
)
from sgevents_core.migrating.remarks import STOPPING, Remark, RemarkKind
from sgevents_core.migrating.written_keys import keys_in, remarks_on_keys, remarks_on_unparsed
from sgevents_core.migrating.written_values import (
    Named,
    environment_variables,
)
from sgevents_core.settings.classic_listing import folders_that_register

_CALL_ARGUMENTS: Final = 4


class SourceReport(NamedTuple):
    """The facts about a plugin file without running it.

    Args:
        path: The file.
        entrance: The function that registers its callbacks; None if not found.
        remarks: The remarks, by line.
        modules: The modules that it imports when it is loaded, from a folder given for that.
        secrets: Keys in the source; for leaving them out of everything that is shown.
    """

    path: Path
    entrance: Entrance | None = None
    remarks: tuple[Remark, ...] = ()
    modules: tuple[Path, ...] = ()
    secrets: frozenset[str] = frozenset()

    @property
    def loads(self) -> bool:
        """Whether it should load, as far as its syntax tree shows."""
        return self.entrance is not None and not any(
            source_remark.kind in STOPPING for source_remark in self.remarks
        )

    @property
    def is_helper(self) -> bool:
        """Whether it is a module for other files."""
        return any(source_remark.kind == "helper" for source_remark in self.remarks)

    @property
    def registrations(self) -> tuple[Registration, ...]:
        """The callbacks that it registers."""
        return self.entrance.registrations if self.entrance else ()


def report_on(
    plugin_path: Path, search_path: Sequence[Path] = (), environment: Mapping[str, str] = os.environ
) -> SourceReport:
    """Return the report on a file.

    Args:
        plugin_path: The file.
        search_path: Folders in which it finds modules, besides its own and the installed ones.
        environment: The environment in which it will run.
    """
    try:
        file_content = plugin_path.read_bytes()
    except OSError as read_error:
        return SourceReport(
            plugin_path, None, (Remark("broken", 0, f"it cannot be read: {read_error.strerror}"),)
        )
    parsed_module = _parsed(file_content, plugin_path)
    if isinstance(parsed_module, Remark):
        on_keys, secret_keys = remarks_on_unparsed(file_content.decode("utf-8", "replace"))
        return SourceReport(plugin_path, None, (parsed_module, *on_keys), (), secret_keys)
    plugin_entrance = entrance_of(parsed_module)
    if plugin_path.name.startswith("_") or (
        plugin_entrance is None and not _may_import_entrance(parsed_module)
    ):
        source_text = "it registers nothing: a module for other files"
        return SourceReport(
            plugin_path, None, (Remark("helper", 0, source_text),), (), keys_in(parsed_module)
        )
    imported_modules = ImportedModules(plugin_path, search_path)
    source_remarks = [
        *imported_modules.remarks_on(parsed_module),
        *old_words(parsed_module),
        *_remarks_on_main_thread(parsed_module),
        *_remarks_on_loggers(parsed_module),
        *remarks_on_keys(parsed_module, plugin_entrance),
        *_remarks_on_environment(parsed_module, environment),
    ]
    if plugin_entrance is not None:
        source_remarks += _remarks_on_entrance(parsed_module, plugin_entrance)
    ordered_remarks = tuple(sorted(dict.fromkeys(source_remarks), key=lambda remark: remark.line))
    return SourceReport(
        plugin_path,
        plugin_entrance,
        ordered_remarks,
        tuple(imported_modules.found),
        keys_in(parsed_module),
    )


def _parsed(file_content: bytes, plugin_path: Path) -> ast.Module | Remark:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as a wrong escape, in a file that is not ours
            return ast.parse(file_content, str(plugin_path))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as parse_error:
        source_problem = problem_of(parse_error, file_content)
        remark_kind: RemarkKind = "python 2" if source_problem.is_python_two else "broken"
        return Remark(remark_kind, source_problem.line, source_problem.text)


def _may_import_entrance(module_tree: ast.Module) -> bool:
    """Return whether the function that registers may come from elsewhere, or be assigned."""
    for syntax_node in ast.walk(module_tree):
        if isinstance(syntax_node, ast.ImportFrom):
            if any(
                import_alias.name == "*" or ENTRANCE in {import_alias.name, import_alias.asname}
                for import_alias in syntax_node.names
            ):
                return True
        elif (
            isinstance(syntax_node, ast.Name)
            and syntax_node.id == ENTRANCE
            and isinstance(syntax_node.ctx, ast.Store)
        ):
            return True
    return False


def _remarks_on_environment(
    module_tree: ast.Module, environment: Mapping[str, str]
) -> Iterator[Remark]:
    for variable_name, line_number in environment_variables(module_tree).items():
        if variable_name not in environment:
            yield Remark(
                "environment", line_number, f"it needs the environment variable {variable_name}"
            )


def _remarks_on_main_thread(module_tree: ast.Module) -> Iterator[Remark]:
    for main_thread_use in main_thread_uses(module_tree):
        yield Remark("main thread", main_thread_use.line, main_thread_use.reason)


def _remarks_on_loggers(module_tree: ast.Module) -> Iterator[Remark]:
    for syntax_node in ast.walk(module_tree):
        match syntax_node:
            case ast.Attribute(ast.Name("logger") | ast.Attribute(attr="logger"), "config"):
                remark_text = "logger.config is the classic daemon's own configuration, not here"
                yield Remark("differs", syntax_node.lineno, remark_text)


def _remarks_on_entrance(module_tree: ast.Module, plugin_entrance: Entrance) -> Iterator[Remark]:
    for line_number, bound_name in plugin_entrance.additions:
        yield Remark(
            "differs", line_number, f"{bound_name} is an addition of some versions, not known here"
        )
    if len(plugin_entrance.function.args.args) != 1:
        yield Remark("broken", plugin_entrance.function.lineno, f"{ENTRANCE} takes one argument")
    function_nodes = {
        syntax_node.name: syntax_node
        for syntax_node in module_tree.body
        if isinstance(syntax_node, ast.FunctionDef)
    }
    for registration in plugin_entrance.registrations:
        yield from _remarks_on(registration, function_nodes)


def _remarks_on(
    registration: Registration, function_nodes: Mapping[str, ast.FunctionDef]
) -> Iterator[Remark]:
    type_filters = filter_of(registration.match)
    for type_filter in type_filters or ():
        if type_filter.is_bare:
            source_text = (
                f"the attributes of {type_filter.event_type} are a bare string: here a list of"
                " one, where the classic daemon searches the string"
            )
            yield Remark("filter", registration.line, source_text)
    if isinstance(registration.match, list | str) and registration.match:
        yield Remark(
            "filter", registration.line, "the filter is not a dict: here, types with any attribute"
        )
    elif type_filters is None and isinstance(registration.match, int | float | bytes):
        yield Remark("filter", registration.line, "the filter cannot be compared with an event")
    if (
        isinstance(registration.match, Mapping)
        and "*" in registration.match
        and len(registration.match) > 1
    ):
        yield Remark(
            "filter", registration.line, 'the type "*" makes the other types in it useless'
        )
    function_node = (
        function_nodes.get(registration.callback.name)
        if isinstance(registration.callback, Named)
        else None
    )
    if function_node is not None and not _takes(function_node, _CALL_ARGUMENTS):
        source_text = (
            f"{function_node.name} cannot be called with (sg, logger, event, args): each call fails"
        )
        yield Remark("differs", registration.line, source_text)
    if registration.stop_on_error is False:
        source_text = (
            f"an error in {registration.callback_name} leaves a dead letter, which can be retried"
        )
        yield Remark("differs", registration.line, source_text)


def _takes(function_node: ast.FunctionDef, argument_count: int) -> bool:
    """Return whether a function can be called with some arguments by position."""
    function_arguments = function_node.args
    positional_count = len(function_arguments.posonlyargs) + len(function_arguments.args)
    needed_count = positional_count - len(function_arguments.defaults)
    if any(default_value is None for default_value in function_arguments.kw_defaults):
        return False
    return needed_count <= argument_count and (
        argument_count <= positional_count or function_arguments.vararg is not None
    )


def fork_folders(plugin_folder: Path) -> list[Path]:
    """Return the folders in a folder that some versions of the classic daemon load as plugins."""
    with suppress(OSError):
        return [plugin_folder / folder_name for folder_name in folders_that_register(plugin_folder)]
    return []

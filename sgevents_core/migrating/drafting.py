"""Draft a package from a classic plugin: its callbacks unchanged, behind hooks or an adapter.

Where the syntax tree shows what the plugin registers, the draft has a hook with its filter for
each callback. Where only running it shows that, the draft lets it register as before.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Final, NamedTuple

from sgevents_core.errors import NotDraftedError
from sgevents_core.migrating.config_values import toml_text
from sgevents_core.migrating.drafted_args import ConstantArgs, args_of
from sgevents_core.migrating.drafted_hooks import (
    event_source,
    filter_words,
    hook_function_name,
    hook_source,
    may_be_called,
    meets,
    python_text,
)
from sgevents_core.migrating.modules_beside import modules_beside, moved_module, packages_to_add
from sgevents_core.migrating.moved_source import MovedSource, moved_source, with_path, without_keys
from sgevents_core.migrating.registrations import (
    ENTRANCE,
    Entrance,
    Registration,
    TypeFilter,
    filter_of,
)
from sgevents_core.migrating.source_report import SourceReport, report_on
from sgevents_core.migrating.source_texts import read_source
from sgevents_core.migrating.written_keys import is_placeholder
from sgevents_core.migrating.written_values import FromEnvironment, Named, shown

_FOLDER: Final = "draft_template"


class DraftNames(NamedTuple):
    """The names in a draft.

    Args:
        name: The plugin's name, which is also its distribution's.
        package: The import package.
        core: The version of sgevents-core that it needs.
    """

    name: str
    package: str
    core: str


class DraftedPackage(NamedTuple):
    """A drafted package.

    Args:
        files: The text of each file, by its path in the package's folder.
        reasons: Why the plugin registers as before; empty if it has hooks.
        marks: How many places are marked for a person.
    """

    files: Mapping[str, str]
    reasons: Sequence[str]
    marks: int


def draft_package(plugin_path: Path, draft_names: DraftNames) -> DraftedPackage:
    """Return a package drafted from the classic plugin in a file.

    Raises:
        NotDraftedError: It cannot be read, is Python 2, or registers nothing.
    """
    source_report = report_on(plugin_path)
    if source_report.entrance is None:
        raise NotDraftedError(path=plugin_path, reason=_why_not(source_report))
    package_source = read_source(plugin_path)
    module_tree = ast.parse(package_source)
    reason_texts = list(_reasons(module_tree, source_report.entrance))
    moved_code = moved_source(
        package_source,
        module_tree,
        source_report,
        draft_names.name,
        keeps_entrance=bool(reason_texts),
    )
    neighbour_modules = modules_beside(plugin_path, module_tree)
    template_values = {
        **draft_names._asdict(),
        "imports": packages_to_add(plugin_path, neighbour_modules),
        "file": plugin_path.name,
        "description": toml_text(f"{plugin_path.name}, moved over"),
    }
    plugin_drafting = _Drafting(source_report.entrance, module_tree, moved_code, template_values)
    plugin_source, test_source = (
        plugin_drafting.registering(reason_texts) if reason_texts else plugin_drafting.hooks()
    )
    package_docstring = f"{draft_names.name}, moved over from {plugin_path.name}."
    package_files = {
        "pyproject.toml": _filled("pyproject.toml", template_values),
        "README.md": _filled(
            "README.md", {**template_values, **_table(source_report, moved_code, draft_names)}
        ),
        f"{draft_names.package}/__init__.py": f'"""{package_docstring}"""\n',
        f"{draft_names.package}/callbacks.py": with_path(moved_code.text)
        if neighbour_modules
        else moved_code.text,
        **{
            _path_in_draft(module_path, plugin_path, draft_names): moved_module(
                module_path, draft_names.name
            )
            for module_path in neighbour_modules
        },
        f"{draft_names.package}/plugin.py": plugin_source,
        "tests/test_plugin.py": test_source,
    }
    package_files = {
        file_name: without_keys(file_text, source_report)
        for file_name, file_text in package_files.items()
    }
    mark_count = sum(template_text.count("TRANSLATE:") for template_text in package_files.values())
    return DraftedPackage(package_files, reason_texts, mark_count)


def _path_in_draft(module_path: Path, plugin_path: Path, draft_names: DraftNames) -> str:
    """Return where in the package's folder a module goes that is beside the plugin."""
    return f"{draft_names.package}/{module_path.relative_to(plugin_path.parent).as_posix()}"


def _why_not(source_report: SourceReport) -> str:
    for source_remark in source_report.remarks:
        if source_remark.kind in {"python 2", "broken", "helper"}:
            line_text = f"line {source_remark.line}: " if source_remark.line else ""
            python_hint = (
                "it is Python 2, convert it first: " if source_remark.kind == "python 2" else ""
            )
            return f"{python_hint}{line_text}{source_remark.text}"
    return f"it has no function {ENTRANCE} of its own"


def _filled(template_name: str, template_values: Mapping[str, str]) -> str:
    template_folder = resources.files("sgevents_core.migrating") / _FOLDER
    return Template((template_folder / f"{template_name}.txt").read_text("utf-8")).substitute(
        template_values
    )


def _reasons(module_tree: ast.Module, plugin_entrance: Entrance) -> Iterator[str]:
    """Yield why the plugin cannot be given hooks: what it registers is not written down."""
    direct_calls = {
        id(syntax_node.value)
        for syntax_node in plugin_entrance.function.body
        if isinstance(syntax_node, ast.Expr)
    }
    function_nodes = {
        syntax_node.name
        for syntax_node in module_tree.body
        if isinstance(syntax_node, ast.FunctionDef)
    }
    if not plugin_entrance.registrations:
        yield "it registers nothing that its syntax tree shows"
    for registration in plugin_entrance.registrations:
        code_place = f"line {registration.line}: "
        if id(registration.node) not in _same_calls(direct_calls, plugin_entrance):
            yield f"{code_place}it registers under a condition, or elsewhere"
        elif (
            not isinstance(registration.callback, Named)
            or registration.callback.name not in function_nodes
        ):
            yield f"{code_place}the callback is no function of the file"
        elif filter_of(registration.match) is None:
            yield f"{code_place}the filter is computed"
        elif not isinstance(registration.stop_on_error, bool):
            yield f"{code_place}stopOnError is computed"
        elif args_of(registration, plugin_entrance) is None:
            yield f"{code_place}args are computed"
    for line_number, addition_name in plugin_entrance.additions:
        yield f"line {line_number}: {addition_name} is not known here"


def _same_calls(direct_calls: set[int], plugin_entrance: Entrance) -> set[int]:
    return {
        id(registration.node)
        for registration in plugin_entrance.registrations
        if id(registration.node) in direct_calls
    }


class _Drafting:
    """Writes the module of hooks and its tests.

    Args:
        plugin_entrance: The plugin's `registerCallbacks`.
        module_tree: Its source.
        moved_source: The part of the source that was taken over.
        template_values: The names in the draft.
    """

    def __init__(
        self,
        plugin_entrance: Entrance,
        module_tree: ast.Module,
        moved_source: MovedSource,
        template_values: Mapping[str, str],
    ) -> None:
        self._plugin_entrance = plugin_entrance
        self._module_tree = module_tree
        self._moved_source = moved_source
        self._template_values = template_values

    def registering(self, reason_texts: Sequence[str]) -> tuple[str, str]:
        """Return a module that registers as before, and a test of it."""
        reason_lines = [
            f"# TRANSLATE: {reason}, so it registers its callbacks as before."
            for reason in reason_texts
        ]
        template_values = {**self._template_values, "reasons": "\n".join(reason_lines)}
        return _filled("plugin_register.py", template_values), _filled(
            "test_register.py", template_values
        )

    def hooks(self) -> tuple[str, str]:
        """Return a module with a hook for each filter of each callback, and tests of them."""
        constant_lines: dict[str, str] = {}
        hook_sources, test_source = [], []
        callback_names: list[str] = []
        for registration in self._plugin_entrance.registrations:
            args_values = args_of(registration, self._plugin_entrance) or ConstantArgs("", "None")
            if args_values.constant:
                constant_lines[args_values.constant] = args_values.source
            for type_filter in filter_of(registration.match) or ():
                callback_names.append(registration.callback_name)
                function_name = hook_function_name(
                    registration.callback_name, callback_names.count(registration.callback_name)
                )
                hook_sources.append(
                    hook_source(
                        registration, type_filter, function_name, args_values.constant or "None"
                    )
                )
                if may_be_called(type_filter):
                    test_source.append(self._test(registration, type_filter, function_name))
        shared_lines = [
            f"{shared_name}: Any = {shared_source}"
            for shared_name, shared_source in constant_lines.items()
        ]
        constants_text = "\n" + "\n".join(shared_lines) + "\n" if shared_lines else ""
        template_values = {
            **self._template_values,
            "constants": constants_text,
            "hooks": "".join(hook_sources),
            "rest": self._rest(),
            "tests": "".join(test_source),
            "callbacks": ", ".join(
                python_text(callback_name) for callback_name in dict.fromkeys(callback_names)
            ),
        }
        return _filled("plugin_hooks.py", template_values), _filled(
            "test_hooks.py", template_values
        )

    def _test(self, registration: Registration, type_filter: TypeFilter, function_name: str) -> str:
        call_count = sum(
            other_registration.callback_name == registration.callback_name
            and any(
                meets(other_filter, type_filter)
                for other_filter in filter_of(other_registration.match) or ()
            )
            for other_registration in self._plugin_entrance.registrations
        )
        return _filled(
            "test_one_hook.py",
            {
                "test": f"{function_name}_is_called",
                "callback": registration.callback_name,
                "wanted": filter_words(type_filter),
                "event": event_source(type_filter),
                "times": str(call_count),
            },
        )

    def _rest(self) -> str:
        """Return a comment with the other statements of `registerCallbacks`."""
        if not self._moved_source.entrance_rest:
            return ""
        comment_lines = [
            "",
            "",
            f"# TRANSLATE: {ENTRANCE} also did this, if it is still needed:",
            "#",
        ]
        comment_lines += [
            f"# {statement_line}".rstrip()
            for statement_line in self._moved_source.entrance_rest.splitlines()
        ]
        return "\n".join(comment_lines)


def _table(
    source_report: SourceReport, moved_source: MovedSource, draft_names: DraftNames
) -> dict[str, str]:
    """Return the README's section on the plugin's script and environment variables."""
    script_names = {shown(registration.script_name) for registration in source_report.registrations}
    key_variable = f"SGEVENTS_{draft_names.package.upper()}_KEY"
    table_lines = []
    for registration in source_report.registrations[:1]:
        script_name = registration.script_name
        if isinstance(script_name, FromEnvironment):
            table_lines.append(f"script_name = {{ env = {toml_text(script_name.variable)} }}")
        elif isinstance(script_name, str) and not is_placeholder(script_name):
            table_lines.append(f"script_name = {toml_text(script_name)}")
        else:
            table_lines.append(
                'script_name = "..."         # TRANSLATE: the script that it signs in as'
            )
        script_key = registration.script_key
        variable_name = (
            script_key.variable if isinstance(script_key, FromEnvironment) else key_variable
        )
        table_lines.append(f"api_key = {{ env = {toml_text(variable_name)} }}")
    if len(script_names) > 1:
        table_lines.append("# TRANSLATE: it registered with several scripts; here a plugin has one")
    variable_sentences = [
        f"The key of line {line_number} is taken from the environment variable {variable_name}."
        for variable_name, line_number in moved_source.variables
    ]
    return {
        "credentials": "\n".join(table_lines),
        "variables": "\n".join([*variable_sentences, ""]) + "\n" if variable_sentences else "",
    }

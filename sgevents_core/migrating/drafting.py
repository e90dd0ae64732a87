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


def draft_package(path: Path, names: DraftNames) -> DraftedPackage:
    """Return a package drafted from the classic plugin in a file.

    Raises:
        NotDraftedError: It cannot be read, is Python 2, or registers nothing.
    """
    report = report_on(path)
    if report.entrance is None:
        raise NotDraftedError(path=path, reason=_why_not(report))
    source = path.read_text("utf-8", "surrogateescape")
    module = ast.parse(source)
    reasons = list(_reasons(module, report.entrance))
    moved = moved_source(source, module, report, names.name, keeps_entrance=bool(reasons))
    beside = modules_beside(path, module)
    values = {
        **names._asdict(),
        "imports": packages_to_add([path, *beside]),
        "file": path.name,
        "description": toml_text(f"{path.name}, moved over"),
    }
    drafting = _Drafting(report.entrance, module, moved, values)
    plugin, tests = drafting.registering(reasons) if reasons else drafting.hooks()
    files = {
        "pyproject.toml": _filled("pyproject.toml", values),
        "README.md": _filled("README.md", {**values, **_table(report, moved, names)}),
        f"{names.package}/__init__.py": f'"""{names.name}, moved over from {path.name}."""\n',
        f"{names.package}/callbacks.py": with_path(moved.text) if beside else moved.text,
        **{
            f"{names.package}/{module_path.name}": moved_module(module_path, names.name)
            for module_path in beside
        },
        f"{names.package}/plugin.py": plugin,
        "tests/test_plugin.py": tests,
    }
    files = {name: without_keys(text, report) for name, text in files.items()}
    marks = sum(text.count("TRANSLATE:") for text in files.values())
    return DraftedPackage(files, reasons, marks)


def _why_not(report: SourceReport) -> str:
    for remark in report.remarks:
        if remark.kind in {"python 2", "broken", "helper"}:
            line = f"line {remark.line}: " if remark.line else ""
            python_hint = "it is Python 2, convert it first: " if remark.kind == "python 2" else ""
            return f"{python_hint}{line}{remark.text}"
    return f"it has no function {ENTRANCE} of its own"


def _filled(name: str, values: Mapping[str, str]) -> str:
    folder = resources.files("sgevents_core.migrating") / _FOLDER
    return Template((folder / f"{name}.txt").read_text("utf-8")).substitute(values)


def _reasons(module: ast.Module, entrance: Entrance) -> Iterator[str]:
    """Yield why the plugin cannot be given hooks: what it registers is not written down."""
    direct = {id(node.value) for node in entrance.function.body if isinstance(node, ast.Expr)}
    functions = {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
    if not entrance.registrations:
        yield "it registers nothing that its syntax tree shows"
    for registration in entrance.registrations:
        where = f"line {registration.line}: "
        if id(registration.node) not in _same_calls(direct, entrance):
            yield f"{where}it registers under a condition, or elsewhere"
        elif (
            not isinstance(registration.callback, Named)
            or registration.callback.name not in functions
        ):
            yield f"{where}the callback is no function of the file"
        elif filter_of(registration.match) is None:
            yield f"{where}the filter is computed"
        elif not isinstance(registration.stop_on_error, bool):
            yield f"{where}stopOnError is computed"
        elif _args_of(registration, entrance) is None:
            yield f"{where}args are computed"
    for line, name in entrance.additions:
        yield f"line {line}: {name} is not known here"


def _same_calls(direct: set[int], entrance: Entrance) -> set[int]:
    return {
        id(registration.node)
        for registration in entrance.registrations
        if id(registration.node) in direct
    }


class _Args(NamedTuple):
    """The value passed to a callback as `args`: the constant's name, and its source."""

    constant: str
    source: str


def _args_of(registration: Registration, entrance: Entrance) -> _Args | None:
    """Return the constant for a callback's `args`; None if the source has no plain value for it."""
    node = _argument(registration.node, 4, "args")
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return _Args("", "None")
    name = f"ARGS_{registration.line}"
    if isinstance(node, ast.Name):
        assigned = [
            assignment.value
            for assignment in ast.walk(entrance.function)
            if isinstance(assignment, ast.Assign)
            and [ast.unparse(target) for target in assignment.targets] == [node.id]
        ]
        if len(assigned) != 1 or _is_changed(node.id, entrance.function):
            return None
        name, node = node.id.strip("_").upper() or name, assigned[0]
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return _Args(name, ast.unparse(node))


def _is_changed(name: str, function: ast.FunctionDef) -> bool:
    """Return whether a function changes a value that it has assigned to a name."""
    for node in ast.walk(function):
        if isinstance(node, ast.Subscript | ast.Attribute) and ast.unparse(node.value) == name:
            is_method = isinstance(node, ast.Attribute) and node.attr in _CHANGING
            if is_method or not isinstance(node.ctx, ast.Load):
                return True
    return False


_CHANGING: Final = frozenset({"append", "extend", "update", "setdefault", "insert", "add", "pop"})


def _argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    if len(call.args) > position:
        return call.args[position]
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


class _Drafting:
    """Writes the module of hooks and its tests.

    Args:
        entrance: The plugin's `registerCallbacks`.
        module: Its source.
        moved: The part of the source that was taken over.
        values: The names in the draft.
    """

    def __init__(
        self,
        entrance: Entrance,
        module: ast.Module,
        moved: MovedSource,
        values: Mapping[str, str],
    ) -> None:
        self._entrance = entrance
        self._module = module
        self._moved = moved
        self._values = values

    def registering(self, reasons: Sequence[str]) -> tuple[str, str]:
        """Return a module that registers as before, and a test of it."""
        lines = [f"# TRANSLATE: {reason}, so it registers as ever." for reason in reasons]
        values = {**self._values, "reasons": "\n".join(lines)}
        return _filled("plugin_register.py", values), _filled("test_register.py", values)

    def hooks(self) -> tuple[str, str]:
        """Return a module with a hook for each filter of each callback, and tests of them."""
        constants: dict[str, str] = {}
        hooks, tests = [], []
        names: list[str] = []
        for registration in self._entrance.registrations:
            args = _args_of(registration, self._entrance) or _Args("", "None")
            if args.constant:
                constants[args.constant] = args.source
            for type_filter in filter_of(registration.match) or ():
                names.append(registration.callback_name)
                function = hook_function_name(
                    registration.callback_name, names.count(registration.callback_name)
                )
                hooks.append(
                    hook_source(registration, type_filter, function, args.constant or "None")
                )
                if may_be_called(type_filter):
                    tests.append(self._test(registration, type_filter, function))
        shared = [f"{name}: Any = {source}" for name, source in constants.items()]
        constants_text = "\n" + "\n".join(shared) + "\n" if shared else ""
        values = {
            **self._values,
            "constants": constants_text,
            "hooks": "".join(hooks),
            "rest": self._rest(),
            "tests": "".join(tests),
            "callbacks": ", ".join(python_text(name) for name in dict.fromkeys(names)),
        }
        return _filled("plugin_hooks.py", values), _filled("test_hooks.py", values)

    def _test(self, registration: Registration, type_filter: TypeFilter, function: str) -> str:
        times = sum(
            other.callback_name == registration.callback_name
            and any(
                meets(other_filter, type_filter) for other_filter in filter_of(other.match) or ()
            )
            for other in self._entrance.registrations
        )
        return _filled(
            "test_one_hook.py",
            {
                "test": f"{function}_is_called",
                "callback": registration.callback_name,
                "wanted": filter_words(type_filter),
                "event": event_source(type_filter),
                "times": str(times),
            },
        )

    def _rest(self) -> str:
        """Return a comment with the other statements of `registerCallbacks`."""
        if not self._moved.entrance_rest:
            return ""
        lines = ["", "", f"# TRANSLATE: {ENTRANCE} also did this, if it is still needed:", "#"]
        lines += [f"# {line}".rstrip() for line in self._moved.entrance_rest.splitlines()]
        return "\n".join(lines)


def _table(report: SourceReport, moved: MovedSource, names: DraftNames) -> dict[str, str]:
    """Return the README's section on the plugin's script and environment variables."""
    scripts = {shown(registration.script_name) for registration in report.registrations}
    key_variable = f"SGEVENTS_{names.package.upper()}_KEY"
    lines = []
    for registration in report.registrations[:1]:
        name = registration.script_name
        if isinstance(name, FromEnvironment):
            lines.append(f"script_name = {{ env = {toml_text(name.variable)} }}")
        elif isinstance(name, str) and not is_placeholder(name):
            lines.append(f"script_name = {toml_text(name)}")
        else:
            lines.append('script_name = "..."         # TRANSLATE: the script that it signs in as')
        key = registration.script_key
        variable = key.variable if isinstance(key, FromEnvironment) else key_variable
        lines.append(f"api_key = {{ env = {toml_text(variable)} }}")
    if len(scripts) > 1:
        lines.append("# TRANSLATE: it registered with several scripts; here a plugin has one")
    variable_sentences = [
        f"The key of line {line} is taken from the environment variable {variable}."
        for variable, line in moved.variables
    ]
    return {
        "credentials": "\n".join(lines),
        "variables": "\n".join([*variable_sentences, ""]) + "\n" if variable_sentences else "",
    }

"""Drafting a package from a classic plugin: its callbacks as they are, behind hooks or an adapter.

Where the syntax tree shows what the plugin registers, the draft has a hook with its filter for
each callback. Where only running it shows that, the draft lets it register as ever.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Final, NamedTuple

from sgevents_core.errors import NotDraftedError
from sgevents_core.events import type_parts
from sgevents_core.migrating.configuration import toml_text
from sgevents_core.migrating.imported_modules import imported_names
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
_HOOKS: Final = {
    "New": "on_new",
    "Change": "on_change",
    "Retirement": "on_retirement",
    "Revival": "on_revival",
}
"""What happened to a record -> the hook for it."""


_USED_NAMES: Final = frozenset(
    {
        "Any",
        "Callable",
        "Context",
        "Event",
        "annotations",
        "callbacks",
        "hookimpl",
        "match",
        "_call",
    }
)


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
        reasons: Why the plugin registers as ever; empty if it has hooks.
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
    beside = _modules_beside(path, module)
    values = {
        **names._asdict(),
        "imports": _packages_to_add([path, *beside]),
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
        **{f"{names.package}/{each.name}": _moved_module(each, names) for each in beside},
        f"{names.package}/plugin.py": plugin,
        "tests/test_plugin.py": tests,
    }
    files = {name: without_keys(text, report) for name, text in files.items()}
    marks = sum(text.count("TRANSLATE:") for text in files.values())
    return DraftedPackage(files, reasons, marks)


def _modules_beside(path: Path, module: ast.Module) -> list[Path]:
    """Return the files beside a plugin that it imports, and those that they import."""
    found: dict[Path, None] = {}
    modules = [module]
    while modules:
        for name in imported_names(modules.pop()):
            beside = path.parent / f"{name}.py"
            if beside in found or beside == path or not beside.is_file():
                continue
            found[beside] = None
            modules.append(_tree(beside))
    return list(found)


def _packages_to_add(paths: Sequence[Path]) -> str:
    """Return a comment that names the modules for which dependencies have to be added."""
    own = {path.stem for path in paths}
    imported = {name for path in paths for name in imported_names(_tree(path))}
    foreign = sorted(imported - own - sys.stdlib_module_names - {"__future__", "shotgun_api3"})
    return f"  # TRANSLATE: add the packages of {', '.join(foreign)}" if foreign else ""


def _tree(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def _moved_module(path: Path, names: DraftNames) -> str:
    """Return the source of a module beside a plugin, without keys."""
    source = path.read_text("utf-8", "surrogateescape")
    try:
        module = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        reason = f"{path.name}, which it imports, cannot be read: {type(error).__name__}"
        raise NotDraftedError(path=path, reason=reason) from None
    report = report_on(path)
    return moved_source(source, module, report, names.name, keeps_entrance=True).text


def _why_not(report: SourceReport) -> str:
    for remark in report.remarks:
        if remark.kind in {"python 2", "broken", "helper"}:
            line = f"line {remark.line}: " if remark.line else ""
            what = "it is Python 2, convert it first: " if remark.kind == "python 2" else ""
            return f"{what}{line}{remark.text}"
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
    for each in entrance.registrations:
        where = f"line {each.line}: "
        if id(each.node) not in _same_calls(direct, entrance):
            yield f"{where}it registers under a condition, or elsewhere"
        elif not isinstance(each.callback, Named) or each.callback.name not in functions:
            yield f"{where}the callback is no function of the file"
        elif filter_of(each.match) is None:
            yield f"{where}the filter is computed"
        elif not isinstance(each.stop_on_error, bool):
            yield f"{where}stopOnError is computed"
        elif _args_of(each, entrance) is None:
            yield f"{where}args are computed"
    for line, name in entrance.additions:
        yield f"line {line}: {name} is not known here"


def _same_calls(direct: set[int], entrance: Entrance) -> set[int]:
    return {id(each.node) for each in entrance.registrations if id(each.node) in direct}


class _Args(NamedTuple):
    """What a callback is given: the name of the constant, and its source."""

    constant: str
    source: str


def _args_of(registration: Registration, entrance: Entrance) -> _Args | None:
    """Return what a callback is given; None if it is not written down as a plain value."""
    node = _argument(registration.node, 4, "args")
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return _Args("", "None")
    name = f"ARGS_{registration.line}"
    if isinstance(node, ast.Name):
        assigned = [
            each.value
            for each in ast.walk(entrance.function)
            if isinstance(each, ast.Assign)
            and [ast.unparse(target) for target in each.targets] == [node.id]
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
        entrance: What the plugin registers.
        module: Its source.
        moved: What was taken over of it.
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
        """Return a module that registers as ever, and a test of it."""
        lines = [f"# TRANSLATE: {reason}, so it registers as ever." for reason in reasons]
        values = {**self._values, "reasons": "\n".join(lines)}
        return _filled("plugin_register.py", values), _filled("test_register.py", values)

    def hooks(self) -> tuple[str, str]:
        """Return a module with a hook for each filter of each callback, and tests of them."""
        constants: dict[str, str] = {}
        hooks, tests = [], []
        names: list[str] = []
        for each in self._entrance.registrations:
            args = _args_of(each, self._entrance) or _Args("", "None")
            if args.constant:
                constants[args.constant] = args.source
            for wanted in filter_of(each.match) or ():
                names.append(each.callback_name)
                function = _function_name(each.callback_name, names.count(each.callback_name))
                hooks.append(_hook(each, wanted, function, args.constant or "None"))
                if _may_be_called(wanted):
                    tests.append(self._test(each, wanted, function))
        shared = [f"{name}: Any = {source}" for name, source in constants.items()]
        constants_text = "\n" + "\n".join(shared) + "\n" if shared else ""
        values = {
            **self._values,
            "constants": constants_text,
            "hooks": "".join(hooks),
            "rest": self._rest(),
            "tests": "".join(tests),
            "callbacks": ", ".join(_text(name) for name in dict.fromkeys(names)),
        }
        return _filled("plugin_hooks.py", values), _filled("test_hooks.py", values)

    def _test(self, each: Registration, wanted: TypeFilter, function: str) -> str:
        times = sum(
            other.callback_name == each.callback_name
            and any(_meets(one, wanted) for one in filter_of(other.match) or ())
            for other in self._entrance.registrations
        )
        return _filled(
            "test_one_hook.py",
            {
                "test": f"{function}_is_called",
                "callback": each.callback_name,
                "wanted": _words(wanted),
                "event": _event(wanted),
                "times": str(times),
            },
        )

    def _rest(self) -> str:
        """Return what registerCallbacks did besides, as a comment."""
        if not self._moved.entrance_rest:
            return ""
        lines = ["", "", f"# TRANSLATE: {ENTRANCE} also did this, if it is still needed:", "#"]
        lines += [f"# {line}".rstrip() for line in self._moved.entrance_rest.splitlines()]
        return "\n".join(lines)


def _function_name(callback: str, count: int) -> str:
    """Return the name of a hook's function, which hides nothing that its module uses."""
    name = f"{callback}_hook" if callback in _USED_NAMES else callback
    return name if count == 1 else f"{name}_{count}"


def _may_be_called(wanted: TypeFilter) -> bool:
    """Return whether any event has what a filter wants: only changes have an attribute."""
    if wanted.attributes is None or wanted.event_type == "*":
        return wanted.attributes != ()
    return bool(wanted.attributes) and type_parts(wanted.event_type).action == "Change"


def _meets(one: TypeFilter, other: TypeFilter) -> bool:
    """Return whether a filter also wants the event that a test makes for another one."""
    if one.event_type not in {"*", other.event_type}:
        return False
    return one.attributes is None or bool(
        other.attributes and other.attributes[0] in one.attributes
    )


def _hook(each: Registration, wanted: TypeFilter, function: str, args: str) -> str:
    """Return the source of one hook."""
    hook, conditions = _conditions(wanted)
    hook = hook if _may_be_called(wanted) else "on_event"
    conditions.append(f'on_error="{"pause" if each.stop_on_error else "dead-letter"}"')
    marks = []
    if not _may_be_called(wanted):
        sentence = f"{wanted.event_type} has no such attribute; is it ever called?"
        marks.append(f"# TRANSLATE: {sentence}\n")
    if wanted.attributes == ():
        conditions.append("where=lambda event: False")
    if wanted.is_bare:
        marks.append("# TRANSLATE: the attribute was a bare string, in which was searched.\n")
    return (
        f"\n\n{''.join(marks)}"
        f'@hookimpl(specname="{hook}")\n'
        f"@match({', '.join(conditions)})\n"
        f"def {function}(event: Event, ctx: Context) -> None:\n"
        f'    """Call {each.callback_name} for {_words(wanted)}."""\n'
        f"    _call(callbacks.{each.callback_name}, event, ctx, {args})\n"
    )


def _conditions(wanted: TypeFilter) -> tuple[str, list[str]]:
    """Return the hook for a filter, and the conditions that its marker has."""
    parts = type_parts(wanted.event_type)
    hook = _HOOKS.get(parts.action or "", "on_event") if parts.entity_type else "on_event"
    conditions = []
    if wanted.event_type != "*":
        conditions.append(f"event_type={_text(wanted.event_type)}")
    if wanted.attributes:
        listed = [_text(attribute) for attribute in wanted.attributes]
        shown_list = listed[0] if len(listed) == 1 else f"[{', '.join(listed)}]"
        conditions.append(f"attribute={shown_list}")
    return hook, conditions


def _event(wanted: TypeFilter) -> str:
    """Return the source of an event that a filter wants."""
    parts = type_parts(wanted.event_type)
    attribute = wanted.attributes[0] if wanted.attributes else "description"
    if wanted.event_type == "*":
        return f'sgevents_event.change("Shot", {_text(attribute)}, "old", "new")'
    if parts.entity_type is None or parts.action is None:
        return f"sgevents_event.other({_text(wanted.event_type)})"
    entity_type = _text(parts.entity_type)
    if parts.action == "Change":
        return f'sgevents_event.change({entity_type}, {_text(attribute)}, "old", "new")'
    return f"sgevents_event.{parts.action.lower()}({entity_type})"


def _words(wanted: TypeFilter) -> str:
    event_type = "every event" if wanted.event_type == "*" else wanted.event_type
    return (
        event_type if not wanted.attributes else f"{event_type} of {', '.join(wanted.attributes)}"
    )


def _text(text: str) -> str:
    return json.dumps(text)


def _table(report: SourceReport, moved: MovedSource, names: DraftNames) -> dict[str, str]:
    """Return what the README says of the plugin's script and of variables."""
    scripts = {shown(each.script_name) for each in report.registrations}
    key_variable = f"SGEVENTS_{names.package.upper()}_KEY"
    lines = []
    for each in report.registrations[:1]:
        name = each.script_name
        if isinstance(name, FromEnvironment):
            lines.append(f"script_name = {{ env = {toml_text(name.variable)} }}")
        elif isinstance(name, str) and not is_placeholder(name):
            lines.append(f"script_name = {toml_text(name)}")
        else:
            lines.append('script_name = "..."         # TRANSLATE: the script that it signs in as')
        key = each.script_key
        variable = key.variable if isinstance(key, FromEnvironment) else key_variable
        lines.append(f"api_key = {{ env = {toml_text(variable)} }}")
    if len(scripts) > 1:
        lines.append("# TRANSLATE: it registered with several scripts; here a plugin has one")
    said = [
        f"The key of line {line} is taken from the environment variable {variable}."
        for variable, line in moved.variables
    ]
    return {
        "credentials": "\n".join(lines),
        "variables": "\n".join([*said, ""]) + "\n" if said else "",
    }

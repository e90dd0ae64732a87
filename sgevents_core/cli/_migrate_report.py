"""The report of `sgevents migrate`: the configuration, the plugins and their positions."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sgevents_core.cli.printing import echo, echo_line
from sgevents_core.errors import ConfigError, SgEventsError
from sgevents_core.migrating.config_lines import DECIDE
from sgevents_core.migrating.registrations import shown_filter
from sgevents_core.migrating.remarks import STOPPING
from sgevents_core.migrating.written_keys import without_secrets
from sgevents_core.printable import counted

if TYPE_CHECKING:
    from sgevents_core.migrating.moving import FolderReport, Left, Move
    from sgevents_core.migrating.positions import Positions
    from sgevents_core.migrating.source_report import SourceReport
    from sgevents_core.plugins.load_watching import PluginWatch

_DIFFERENCES_PAGE: Final = "docs/explanation/classic-differences.md"
_MOST_NAMED: Final = 5
_FAR_BEHIND: Final = 100_000


def print_configuration(move: Move) -> None:
    """Print what people have to decide about the configuration."""
    echo_line(f"Configuration {move.ini.path}:")
    for sentence in move.draft.decisions:
        _line(move, f"  decide: {sentence}")
    for problem in _problems(move):
        _line(move, f"  wrong:  {problem}")
    if not move.draft.decisions:
        echo_line("  everything in it has its place in sgevents.toml")
    warn_if_running(move)


def warn_if_running(move: Move) -> None:
    """Warn if the classic daemon runs: events that it handles now would be handled twice."""
    if move.running is not None:
        echo_line(
            f"  note:   the classic daemon runs (process {move.running}), and its positions change."
            " Stop it, then import them again: sgevents migrate --import-id"
        )


def _problems(move: Move) -> list[str]:
    from sgevents_core.settings import read_settings

    try:
        read_settings(move.draft.text, _place(move), secrets_required=False)
    except ConfigError as error:
        return [f"{problem.key}: {problem.message}; {problem.fix}" for problem in error.problems]
    return []


def _place(move: Move) -> Path:
    return move.ini.path.absolute().parent / "sgevents.toml"


def _line(move: Move, text: str) -> None:
    echo_line(without_secrets(text, move.secrets))


# Plugins


def print_plugins(move: Move) -> None:
    """Print what the migration does with each plugin file."""
    for folder in move.folders:
        echo()
        _line(move, f"Folder {folder.folder.path}, group {folder.folder.group}:")
        if folder.trouble:
            _line(move, f"  cannot be read: {folder.trouble}")
        for report in folder.files:
            _print_file(move, report)
        for fork in folder.forks:
            _line(
                move,
                f"  {fork.name}/: a folder with __init__.py, which only some versions of the"
                f" classic daemon load; put registerCallbacks into a file {fork.name}.py",
            )
    echo()
    _print_sum(move.folders)


def _print_file(move: Move, report: SourceReport) -> None:
    name = report.path.name
    _line(move, f"  {name}: {_verdict(report)}")
    for registration in report.registrations:
        repeated = ", for each turn of a loop" if registration.repeated else ""
        policy = "" if registration.stop_on_error is not False else ", continues after errors"
        wanted = f"{shown_filter(registration.match)}{repeated}{policy}"
        line = f"(line {registration.line})"
        _line(move, f"      {registration.callback_name}: {wanted} {line}")
    for remark in report.remarks:
        place = f"{name}:{remark.line}" if remark.line else name
        if remark.kind != "helper":
            _line(move, f"    ! {place}: {remark.text}")


def _verdict(report: SourceReport) -> str:
    kinds = {remark.kind for remark in report.remarks}
    if report.is_helper:
        return "not a plugin, but a module that others may import"
    if "python 2" in kinds:
        return "Python 2 only, does not load"
    if "broken" in kinds:
        return "does not load"
    if "missing module" in kinds:
        return "does not load until its modules are installed"
    if report.entrance is None:
        return "should load; only --load shows what it registers"
    return f"should load, {counted(len(report.registrations), 'callback')}"


def _print_sum(folders: Sequence[FolderReport]) -> None:
    reports = [report for folder in folders for report in folder.files]
    plugins = [report for report in reports if not report.is_helper]
    stopped = [
        report for report in plugins if any(each.kind in STOPPING for each in report.remarks)
    ]
    helpers = len(reports) - len(plugins)
    echo_line(
        f"{counted(len(plugins), 'plugin')}: {len(plugins) - len(stopped)} should load,"
        f" {counted(len(stopped), 'does', 'do')} not; {counted(helpers, 'other module')}."
        f" What is different here: {_DIFFERENCES_PAGE}"
    )


# Loading


class _LoadedCallback(NamedTuple):
    name: str
    match: str
    on_error: str


class _LoadedFile(NamedTuple):
    """The result of loading a file."""

    plugin: str
    status: str
    reason: str
    warnings: tuple[str, ...]
    callbacks: tuple[_LoadedCallback, ...]


def print_loaded(move: Move, target: Path) -> None:
    """Load the plugins in another process, and print the callbacks that they register."""
    from sgevents_core.crashes.loading_apart import inspect_apart
    from sgevents_core.settings import read_settings

    echo()
    echo_line("Loaded in another process:")
    try:
        settings = read_settings(move.draft.text, target.absolute(), secrets_required=False)
        loaded_files = inspect_apart(settings, lambda watch: _load(settings, watch))
    except SgEventsError as error:
        _line(move, f"  the plugins cannot be loaded: {error}")
        return
    for file in loaded_files:
        count = counted(len(file.callbacks), "callback")
        verdict = f"loads, {count}" if file.status == "enabled" else f"is {file.status}"
        reason = f": {file.reason}" if file.reason else ""
        _line(move, f"  {file.plugin} {verdict}{reason}")
        for callback in file.callbacks:
            _line(move, f"      {callback.name}: {callback.match} (on error: {callback.on_error})")
        for warning in file.warnings:
            _line(move, f"    ! {warning}")


def _load(settings: Any, watch: PluginWatch) -> list[_LoadedFile]:
    from sgevents_core.classic.finding import find_plugins
    from sgevents_core.plugins.loading import load

    sys.dont_write_bytecode = True  # this runs in another process, which leaves nothing behind
    loaded = load(settings, find_plugins(settings), watch=watch)
    callbacks = {plugin.name: plugin.callbacks for plugin in loaded.plugins}
    return [
        _LoadedFile(
            status.name,
            status.status,
            status.reason,
            status.warnings,
            tuple(
                _LoadedCallback(
                    callback.name,
                    callback.match.describe(),
                    str(callback.on_error),
                )
                for callback in callbacks.get(status.name, ())
            ),
        )
        for status in loaded.statuses
        if status.name in settings.classic_files
    ]


# Positions


def print_positions(positions: Positions) -> None:
    """Print the event at which each plugin continues."""
    echo()
    echo_line("Positions:")
    highest = positions.highest
    for name, position in sorted(positions.stored.items()):
        if position.last_id is None:
            continue
        text = f"  {name} continues after event {position.last_id}"
        if position.backlog:
            text += f", and waits for {counted(len(position.backlog), 'missing id')}"
        if name in positions.moved:
            text += f" (found under {positions.moved[name]})"
        behind = highest - position.last_id
        if behind > _FAR_BEHIND:
            text += f"; it is {behind} ids behind the others, and is given all events since"
        echo_line(text)
    if positions.without:
        shown = _named(positions.without)
        start_text = f"begin after event {highest}, where the furthest plugin is"
        echo_line(f"  without a position, so they {start_text}: {shown}")
    if positions.unused:
        shown = _named(f"{stem} of {folder}" for folder, stem in positions.unused)
        echo_line(f"  not used, because there is no such plugin: {shown}")


def _named(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - _MOST_NAMED
    return ", ".join(listed[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def print_left(left: Left, target: Path) -> None:
    """Print the files written for going back, and what the classic daemon cannot know."""
    for name, (position, unhandled, half_done) in sorted(left.positions.items()):
        text = f"  {name} continues after event {position.last_id}"
        if position.backlog:
            text += f", with {counted(len(position.backlog), 'id')} in its backlog"
        if unhandled:
            text += f", of which {unhandled} are on the site and not handled here"
        echo_line(text)
        if half_done:
            echo_line(
                f"    {counted(half_done, 'callback')} of it handled the next event already, and"
                " will be called for it again, because the classic daemon only records whole events"
            )
    if any(left_position.position.backlog for left_position in left.positions.values()):
        echo_line(
            "  when an id of a backlog appears, the classic daemon calls a plugin for newer events"
            " again; export once nothing is waited for (sgevents status) to avoid that"
        )
    for name in left.without:
        echo_line(f"  {name} never ran here: for the classic daemon, it is a new plugin")
    if left.dead_letters:
        counted_things = counted(left.dead_letters, "dead letter")
        echo_line(
            f"  {counted_things} stay behind: the classic daemon knows none; retry them here first"
        )
    if left.parked:
        counted_things = counted(left.parked, "parked row")
        echo_line(f"  {counted_things} stay behind: sgevents feed parked")
    echo_line(
        f"Wrote {target}. Start the classic daemon with it within five minutes: it waits no longer"
        " for ids that are missing."
    )


def print_next_steps(move: Move, target: Path, positions: Positions | None) -> None:
    """Print the files written, and the next steps."""
    option = "" if str(target) == "sgevents.toml" else f" --config {shlex.quote(str(target))}"
    variables = ", ".join(move.draft.variables)
    steps = [f"look at the lines with {DECIDE}"] if DECIDE in move.draft.body else []
    steps += [f"set the environment variables {variables}"] if variables else []
    steps.append(f"check everything:\n       sgevents check{option}")
    steps.append(
        "try the plugins beside the classic daemon; what they would write is shown, not made:"
        f"\n       sgevents run{option} --dry-run"
    )
    imported = f"\n       sgevents migrate{option} --import-id {move.ini.path}" if positions else ""
    steps.append(
        f"stop the classic daemon, import its last positions, and run:{imported}"
        f"\n       sgevents run{option}"
    )
    done = "and imported the positions" if positions else "without positions"
    echo()
    echo_line(f"Wrote {target} {done}. Next:")
    echo()
    echo("\n".join(f"  {number}. {step}" for number, step in enumerate(steps, 1)))

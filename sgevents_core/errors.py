"""Every error that users meet.

The docstring of a class is its message: the culprit's attributes are filled in, and the text tells
the fix. Errors a plugin author raises on purpose (`Retry`) live here too.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

_LINE_BREAK: Final = re.compile(r"(?<!\n)\n(?!\n)")


class SgEventsError(Exception):
    """Something went wrong in sgevents."""

    exit_code: ClassVar[int] = 1
    """What the command `sgevents` exits with when this error ends it; 2 is a user's mistake."""

    def __init__(self, **culprit: Any) -> None:
        """Keep `culprit` as attributes and fill them into the docstring, which is the message."""
        for name, value in culprit.items():
            setattr(self, name, value)
        written = inspect.cleandoc(type(self).__doc__ or type(self).__name__)
        message = _LINE_BREAK.sub(" ", written)  # those of the source; values keep theirs
        Exception.__init__(self, message.format(**culprit))  # regardless of other base classes


class DurationError(SgEventsError):
    """ "{text}" is not a duration: {reason}. Write it like 250ms, 1s, 5m, 1h30m or 7d."""

    exit_code = 2
    text: str
    reason: str


class Problem(NamedTuple):
    """One problem in a configuration: where it is, what is wrong, how to fix it."""

    file: Path
    line: int | None
    """Counted from 1; None where the problem has no line, such as a missing file."""
    key: str
    """The dotted key (`feed.poll_interval`); empty where the problem is the file."""
    message: str
    fix: str
    column: int | None = None
    """Counted from 1; known for errors of TOML syntax only."""

    @property
    def place(self) -> str:
        """The place as editors take it: `file:line:column`, as far as known."""
        numbers = [str(number) for number in (self.line, self.column) if number is not None]
        return ":".join([str(self.file), *numbers])

    def __str__(self) -> str:
        subject = f"{self.key}: " if self.key else ""
        return f"{self.place}: {subject}{self.message}\n    fix: {self.fix}"


class ConfigError(SgEventsError):
    """the configuration has {count}

    {listing}
    """

    exit_code = 2
    problems: tuple[Problem, ...]

    def __init__(self, problems: Iterable[Problem]) -> None:
        """List `problems` in the order of the file, each with its fix."""
        found = tuple(problems)
        super().__init__(
            problems=found,
            count="1 problem:" if len(found) == 1 else f"{len(found)} problems:",
            listing="\n".join(str(problem) for problem in found),
        )


class SecretMissingError(SgEventsError):
    """{source} is not set, and this needs it. Set it, then run the command again."""

    exit_code = 2
    source: str


class Retry(Exception):
    """Raised by a callback to be called again for the same event, later."""

    def __init__(self, reason: str = "", *, after: str | float | timedelta | None = None) -> None:
        """Ask for another call.

        Args:
            reason: Shown to people, in the log and in the status.
            after: How long to wait at least: seconds, text such as `"5s"`, or a timedelta; None
                leaves it to the plugin's usual backoff.
        """
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Defer(Exception):
    """Raised by a callback to get this event again later, while its plugin goes on with others."""

    def __init__(self, reason: str = "", *, after: str | float | timedelta) -> None:
        """Put this event off, for this callback.

        Unlike `Retry`, it gives up the order of events, and spends no attempt.

        Args:
            reason: Shown to people, in the log and by `sgevents explain`.
            after: How long to wait: seconds, text such as `"10m"`, or a timedelta; at least a
                second.
        """
        super().__init__(reason)
        self.reason = reason
        self.after = after


class ExplainedError(SgEventsError):
    """An error whose docstring is the reason, and whose `fix` says what helps."""

    exit_code = 2
    reason: str
    """What is wrong, without the fix."""
    fix: str = ""
    """What people can do about it; of a class, with `{culprit}`."""

    def __init__(self, **culprit: Any) -> None:
        """Fill `culprit` into the reason and into the fix, which follow each other in the text."""
        super().__init__(**culprit)
        self.reason = str(self)
        self.fix = self.fix.format(**culprit)
        self.args = (f"{self.reason}\n\n{self.fix}",)


class UnusablePluginError(ExplainedError):
    """A plugin cannot be used until its author or the person who runs it fixes it."""


class MatchError(UnusablePluginError):
    """{where}: @match: {problem}."""

    fix = "{advice}"
    where: str
    problem: str
    advice: str


class RegistrationError(UnusablePluginError):
    """{where}: {problem}."""

    fix = "{advice}"
    where: str
    problem: str
    advice: str


class ClassicFileError(UnusablePluginError):
    """{path}:{line}: {problem}."""

    fix = "Correct the file; it is loaded again as soon as it changes."
    path: Path
    line: int
    problem: str


class PythonTwoError(ClassicFileError):
    """{path}:{line}: this is Python 2: {problem}."""

    fix = "Convert the file to Python 3; it is loaded again as soon as it changes."


class NoRegisterCallbacksError(UnusablePluginError):
    """{path} has no function registerCallbacks."""

    fix = "Add one; if other files import it and it is no plugin, let its name begin with _."
    path: Path


class ForkAdditionError(UnusablePluginError, AttributeError):
    """{where}: {name} is an addition of some versions of the classic daemon, not known here."""

    fix = "{advice}"
    where: str
    name: str
    advice: str


class UnknownHookError(UnusablePluginError):
    """{where}: {hook} is marked @hookimpl, and there is no hook of that name{suggestion}."""

    fix = (
        'Rename the function, or name its hook: @hookimpl(specname="..."). Without @hookimpl it '
        "is a plain function."
    )
    where: str
    hook: str
    suggestion: str


class UnknownArgumentError(UnusablePluginError):
    """{where}: {function} names the argument {argument}, which {hook} does not have{suggestion}."""

    fix = "Use only these arguments: {known}."
    where: str
    function: str
    hook: str
    argument: str
    suggestion: str
    known: str


class BatchArgumentError(UnusablePluginError):
    """{where}: {function} names the argument {argument}, and its @match {option} batch."""

    fix = "{advice}"
    where: str
    function: str
    argument: str
    option: str
    advice: str


class ParameterKindError(UnusablePluginError):
    """{where}: {function} takes {parameter}, which is {kind}: arguments come by position."""

    fix = "Use only these arguments: {known}."
    where: str
    function: str
    parameter: str
    kind: str
    known: str


class NotPlainFunctionError(UnusablePluginError):
    """{where}: {function} is {kind}: calling it would run nothing."""

    fix = "{advice}"
    where: str
    function: str
    kind: str
    advice: str


class NotAwaitedError(SgEventsError):
    """It returned {kind}, and nothing of that has run. Make the callback itself an `async def`
    function, and await there what it returned here.
    """

    kind: str


class LoopInLoopError(SgEventsError):
    """An async callback cannot be called here: an event loop runs in this thread already. Call the
    plugins from a plain function, or with `await asyncio.to_thread(...)`.
    """


class NotAFunctionError(UnusablePluginError):
    """{where}: {hook} is {kind}; a hook is implemented by a function or a method."""

    fix = (
        "Write a `def` that calls it, or give it to registrar.register(...) in register_callbacks."
    )
    where: str
    hook: str
    kind: str


class HookOptionError(UnusablePluginError):
    """{where}: {function} uses {option}, which has no meaning here: nothing wraps a callback."""

    fix = "Remove it. The order is: group in the configuration, plugin name, place in the module."
    where: str
    function: str
    option: str


class HookTwiceError(UnusablePluginError):
    """{where}: {hook} is implemented twice in one plugin, and it is called once."""

    fix = "Keep one function and call the other from it."
    where: str
    hook: str


class ClassEntryPointError(UnusablePluginError):
    """the entry point {value} is the class {name}; a plugin is a module or an instance."""

    fix = "Make an instance in the module, `plugin = {name}()`, and point the entry point at that."
    value: str
    name: str


class EntryPointError(UnusablePluginError):
    """the entry point {name} of {provider} names {value}, and {problem}."""

    fix = (
        "Correct it in that package's pyproject.toml, below "
        '[project.entry-points."sgevents.plugins"], or let the package ship the module, and '
        "install it again."
    )
    name: str
    provider: str
    value: str
    problem: str


class SettingsModelError(UnusablePluginError):
    """{where}: settings_model returns {what}, which is not a model of settings."""

    fix = "Return the class itself: a dataclass, a msgspec Struct or a pydantic model."
    where: str
    what: str


class PluginSettingsError(UnusablePluginError):
    """its settings have {count}: {listing}."""

    fix = "Correct {table}; `sgevents check` shows each problem with its line and its fix."
    count: str
    listing: str
    table: str
    problems: tuple[Problem, ...]

    def __init__(self, problems: Iterable[Problem], table: str) -> None:
        """List `problems` of `table`, the plugin's own, in one line."""
        found = tuple(problems)
        listing = "; ".join(
            f"{one.place}: {one.key}: {' '.join(one.message.split()).rstrip('.')}" for one in found
        )
        count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
        super().__init__(problems=found, table=table, count=count, listing=listing)


class PluginRaisedError(UnusablePluginError):
    """{doing} raised {error}{where}."""

    fix = (
        "Fix the plugin (`sgevents plugins list` shows where it raised), or disable it: "
        "enabled = false."
    )
    doing: str
    error: str
    where: str
    trace: str = ""


class LoadTimeoutError(UnusablePluginError):
    """{doing} did not return within {within}."""

    fix = (
        "Let it return sooner (`sgevents plugins list` shows where it was), give it more time "
        "(load_timeout in its table), or disable it: enabled = false."
    )
    doing: str
    within: str
    trace: str = ""


class LoadEndedError(SgEventsError):
    """loading the plugins ends the process, and it is not known which plugin does it: {how}

    Find it by disabling them one by one: enabled = false.
    """

    how: str


class UnknownPluginError(SgEventsError):
    """no plugin {plugin} is installed or configured; {hint}"""

    exit_code = 2
    plugin: str
    hint: str


class ExamplesMissingError(SgEventsError):
    """The examples are not installed. Install them with: pip install {distribution}"""

    exit_code = 2
    distribution: str


class UnknownExampleError(SgEventsError):
    """There is no example {example}. {hint}"""

    exit_code = 2
    example: str
    hint: str


class NothingToRetryError(SgEventsError):
    """nothing prevents plugin {plugin} from being loaded: the process did not die while it was
    loaded.

    `sgevents plugins list` shows its status.
    """

    plugin: str


class PluginError(SgEventsError):
    """{count} cannot be used, and --strict requires all of them:

    {listing}
    """

    exit_code = 2
    count: str
    listing: str


class SiteError(SgEventsError):
    """The site {url} did not answer as expected: {reason}."""

    transient: ClassVar[bool] = True
    """Whether the same call may well succeed later."""
    url: str
    reason: str


class SiteUnreachable(SiteError):
    """The site {url} cannot be reached: {reason}. Check the address and the network."""

    after: float | None = None
    """How many seconds its answer asked to wait before the next call, if it did."""


class SiteNotTrusted(SiteUnreachable):
    """There is no safe connection to the site {url}: {reason}. To do: {advice}."""

    advice: str


class SiteProxyRefused(SiteUnreachable):
    """The site {url} cannot be reached: {reason}. To do: {advice}."""

    advice: str


class SiteAnswerError(SiteError):
    """The site {url} sent something that is not an answer of the API: {reason}.
    Is this address a site's?
    """


class SiteAnswerTooLarge(SiteAnswerError):
    """The site {url} sent something that is not an answer of the API: {reason}.
    Request less at once: fewer fields, or a limit.
    """

    transient = False


class SiteRedirected(SiteAnswerError):
    """The site {url} points to {where} (HTTP status {errcode}), and the redirect is not
    followed, since calls carry the script's key. If the site has moved, set url in [site] to its
    new address; if not, a proxy asks people to log in, or the site is down for maintenance.
    """

    where: str
    errcode: int


class SiteFault(SiteError):
    """The site {url} refused a request: {reason}."""

    transient = False


class SiteRefused(SiteError):
    """The site {url} does not accept script_name '{script_name}' with its api_key: {reason}.
    Check both in [site]; keys are made and renewed on the site's Scripts page.
    """

    exit_code = 2
    transient = False
    script_name: str


class StockClientError(ExplainedError):
    """The module shotgun_api3 cannot be used: {problem}. {whence}."""

    fix = (
        "Uninstall the package that contains that copy, or remove it from the path, and reinstall: "
        'pip install --force-reinstall "shotgun_api3>=3.9"'
    )
    problem: str
    whence: str
    file: str
    owner: str


class NoMoreFilesError(SgEventsError):
    """This process cannot open another file: {reason}.
    Raise its limit with ulimit -n or with LimitNOFILE= in the service's unit, or look for a program
    on this machine that keeps too many files open.
    """

    reason: str


class StateInUse(SgEventsError):
    """The state {path} is in use by a daemon (process {pid} on {host}).
    Only one daemon can use a state: stop that one first, or give this one its own [state] path.
    """

    exit_code = 2
    path: str
    pid: int
    host: str


class HostNameTaken(SgEventsError):
    """Another host called {host} already works at this state.
    Give each host a name of its own: host = "..." in [state].
    """

    exit_code = 2
    host: str


class StateError(SgEventsError):
    """The state {path} cannot be used: {reason}."""

    exit_code = 1
    fix: ClassVar[str] = "free space on its disk, or allow the daemon to write there"
    """What to do while it lasts, for people."""
    is_lasting: ClassVar[bool] = False
    """Whether no waiting mends it, so that whatever works at the state has to end."""
    path: str
    reason: str


class StateTooNew(StateError):
    """The state {path} cannot be used: {reason}."""

    is_lasting = True


class StateElsewhere(StateError):
    """The state {path} cannot be used: {reason}."""

    is_lasting = True


class MoveRefused(SgEventsError):
    """The state {path} cannot be moved: {reason}. Nothing was changed."""

    exit_code = 2
    path: str
    reason: str


class RestoreRefused(SgEventsError):
    """The streams cannot be restored from the copy {path} without loss: the servers hold what it
    does not have.

    {listing}

    Use the host whose copy has most, or restore a stream from the servers' own backup. With
    --force, what is listed is lost, and what was called for it may be called again.
    """

    exit_code = 2
    path: str
    listing: str


class StateNotWritable(StateError):
    """The state {path} cannot be used: {reason}.
    Reading it also writes files beside it: run this as a user who may write there, or read a copy
    of the folder.
    """


class StateDamaged(StateError):
    """The state {path} is damaged: {reason}.
    No more callbacks are called. `sgevents state check` says what is wrong and how to repair it.
    """

    is_lasting = True


class BackupError(SgEventsError):
    """The copy {path} cannot be written: {reason}.
    The state itself is unchanged. Free some space there, or name another file.
    """

    path: str
    reason: str


class UnreadableEntry(SgEventsError):
    """Event {event_id} cannot be read from the journal: {reason}.
    Nothing else is affected. A running daemon reads it from the site again.
    """

    event_id: int
    reason: str


class StateGone(StateError):
    """The state {path} is gone: {reason}.
    The daemon has stopped, since its calls could no longer be recorded. Restore the state or its
    last backup. A start without it creates a new one, which begins at the newest event.
    """

    exit_code = 4


class OtherSiteError(SgEventsError):
    """This state belongs to the site {before}, and {now} has none of its last events.
    Use a separate folder for each site: change `path` in [state], or `url` in [site].
    """

    exit_code = 2
    before: str
    now: str


class StartAheadError(SgEventsError):
    """The start {start} is ahead of the site, whose newest event is {newest}.
    Write an id up to {highest}, a time in the past, or now.
    """

    exit_code = 2
    start: str
    newest: str
    highest: int


class InternalError(SgEventsError):
    """A bug in sgevents itself ended {where}: {reason}.
    Nothing is lost: start it again. Please report it, with the log.
    """

    where: str
    reason: str


class MessageTooNew(SgEventsError):
    """The logs of the state hold messages of version {version}, and {host} knows up to {known}.
    A newer version of sgevents wrote them: upgrade sgevents on {host}.
    """

    exit_code = 2
    version: int
    known: int
    host: str


class StaleWriter(SgEventsError):
    """Another writer has taken over {what}; this one stops without writing."""

    what: str


class StoreValueError(SgEventsError):
    """Plugin {plugin} cannot keep {key!r} in ctx.store: {reason}.
    Keys are text; values are those of JSON: text, numbers, true, false, null, lists, mappings.
    """

    plugin: str
    key: object
    reason: str


class PartOutsideCallError(SgEventsError):
    """ctx.once({name!r}) cannot be used here: {reason}."""

    name: str
    reason: str


class CallIsOverError(SgEventsError):
    """{callback} of plugin {plugin} is over{event}: what is assigned to ctx.store now is not kept.
    A thread that outlives its call has to return its results before the callback returns.
    """

    plugin: str
    callback: str
    event: str


class CallbackTimeout(SgEventsError):
    """It did not return within {within}."""

    within: str
    stack: str
    """The stack of its thread when the time was up, as text."""


class WorkerForkedError(SgEventsError):
    """ctx.store of plugin {plugin} is not available here: the process was forked by a callback. Use
    the store in the callback itself, and pass its values on.
    """

    plugin: str


class SignalInDoubt(SgEventsError):
    """It was stopped by {signal}, which arrived just as a plugin started a process, so its sender
    is not known. It has stopped cleanly. The exit code lets a service manager start it again.
    """

    signal: str


class LogFileError(SgEventsError):
    """The log file {path} cannot be written: {reason}.
    Name another one in [log], or let the daemon's user write there.
    """

    exit_code = 2
    path: Path
    reason: str


class UnknownFaultError(SgEventsError):
    """The sandbox has no fault '{culprit}'. It has: {known}."""

    exit_code = 2
    culprit: str
    known: str


class TypesFileError(SgEventsError):
    """The types file {file}: {where}{reason}. The reference of the sandbox shows the format."""

    exit_code = 2
    file: Path
    where: str
    reason: str


class SchemaNotReadError(SgEventsError):
    """The schema of {url} cannot be read: {reason}. See what sgevents check reports about the
    site.
    """

    exit_code = 2
    url: str
    reason: str


class TypesNotWrittenError(SgEventsError):
    """{path} cannot be written: {reason}. Name a new file, in an existing folder."""

    exit_code = 2
    path: Path
    reason: str


class PortInUseError(SgEventsError):
    """The sandbox cannot listen on {host}:{port}: {reason}.
    Choose another port, or 0 for one that is free.
    """

    exit_code = 2
    host: str
    port: int
    reason: str


class ConsoleAccessError(SgEventsError):
    """The console does not start: {reason}. {fix}"""

    exit_code = 2
    reason: str
    fix: str


class ConsoleNotInstalledError(SgEventsError):
    """The console needs the extra packages of sgevents-core: {module} is missing.
    Install them: pip install "sgevents-core[console]"
    """

    exit_code = 2
    module: str


class ConsolePortError(SgEventsError):
    """The console cannot listen on {listen}: {reason}. Name another address with listen in
    [console], or --listen.
    """

    exit_code = 2
    listen: str
    reason: str


class ListenError(SgEventsError):
    """{config}: {key}: it is not possible to listen on {address}: {reason}.
    Choose another address or port, or end the program that has it.
    """

    exit_code = 2
    config: Path
    key: str
    address: object
    reason: str


class ExtraMissingError(SgEventsError):
    """{config}: {table} needs packages that are not installed here: {reason}.
    Install them: pip install 'sgevents-core[{extra}]'
    """

    exit_code = 2
    config: Path
    table: str
    extra: str
    reason: str

    @property
    def message(self) -> str:
        """What is missing, without the file."""
        return f"{self.table} needs packages that are not installed here: {self.reason}"

    @property
    def fix(self) -> str:
        """What to do about it."""
        return f"pip install 'sgevents-core[{self.extra}]'"


class ConfigExistsError(SgEventsError):
    """{path} already exists. Replace it with --force, or name another file with --config."""

    exit_code = 2
    path: Path


class NotDraftedError(SgEventsError):
    """No package can be drafted from {path}: {reason}."""

    exit_code = 2
    path: Path
    reason: str


class MigratedAlreadyError(SgEventsError):
    """{path} already exists, and is not written over. Name another folder with --output, look at
    what would be written with --check, or import only the positions with --import-id.
    """

    exit_code = 2
    path: Path


class IniFileError(SgEventsError):
    """{path}: {problem}. {advice}"""

    exit_code = 2
    path: Path | str
    problem: str
    advice: str


class IdFileError(SgEventsError):
    """{path}: {problem}. {advice}"""

    exit_code = 2
    path: Path
    problem: str
    advice: str


class StateBegunError(SgEventsError):
    """Plugins have already been called from the state {path}, or its feed begins behind the events
    that they need, so positions cannot be imported into it. Move the folder away to begin where the
    classic daemon stands; what sgevents has handled since is then handled again.
    """

    exit_code = 2
    path: Path


class NothingToExportError(SgEventsError):
    """The state {path} knows no plugin in the folders of the configuration, so there is no position
    to write. Without a file of its own, the classic daemon begins with new events.
    """

    exit_code = 2
    path: Path


class NoPositionsError(SgEventsError):
    """{path} holds no position of any plugin in the folders of the configuration, so there is
    nothing to import. Is it the file of this configuration?
    """

    exit_code = 2
    path: Path


class IdFileExistsError(SgEventsError):
    """{path} already exists. Move it aside, or name another file: positions are never written over
    a file.
    """

    exit_code = 2
    path: Path


class ConfigNotWrittenError(SgEventsError):
    """{path} cannot be written: {reason}. Name another file with --config."""

    path: Path
    reason: str


class DemoPluginsMissingError(SgEventsError):
    """The demo needs plugins that are not installed: {missing}.
    Install them from where sgevents came from: pip install ./sgevents_plugins_example in a clone.
    """

    exit_code = 2
    missing: str


class UnitExistsError(SgEventsError):
    """{path} already exists. Replace it with --force, or name another file with --output."""

    exit_code = 2
    path: Path


class UnitNotWrittenError(SgEventsError):
    """{path} cannot be written: {reason}. Run this as root, or name another file with --output."""

    path: Path
    reason: str


class UnitPathError(SgEventsError):
    """{path!r} cannot be named in a systemd unit. Use folders with plain names."""

    exit_code = 2
    path: str


class MomentError(SgEventsError):
    """{text!r} is not a valid moment. Write a date, 2026-01-31, a date and time, 2026-01-31T12:00,
    or how long ago, 2h or 7d.
    """

    exit_code = 2
    text: str


class NotAnsweredError(SgEventsError):
    """The recorder replaces a site and cannot answer {asked}.
    Give the harness a sandbox, which can: Harness(plugin, site=site).
    """

    asked: str


class AlreadyHandedError(SgEventsError):
    """Event {event_id} was already handed to the plugins, and a daemon does so only once.
    Give the event another id, or replay it: harness.replay(event).
    """

    event_id: int


class RecordedEventError(SgEventsError):
    """{path}, line {line}, is not a recorded event: {reason}.
    `sgevents record` writes such files.
    """

    path: Path
    line: int
    reason: str


class RecordingExistsError(SgEventsError):
    """{path} already exists. Replace it with --force, or name another file with --out."""

    exit_code = 2
    path: Path


class RecordingNotWrittenError(SgEventsError):
    """{path} cannot be written: {reason}. Name another file with --out."""

    path: Path
    reason: str


class BundleNotWrittenError(SgEventsError):
    """{path} cannot be written: {reason}. Name another file with --output."""

    path: Path
    reason: str


class EventsNotFoundError(SgEventsError):
    """Neither the journal nor the site has the events {ids}.
    Check the ids; the script may also lack the right to see them.
    """

    ids: str


class NothingRunYet(SgEventsError):
    """Nothing has run on {path} yet. Start with sgevents run, or name the right --config."""

    exit_code = 2
    path: str


class DaemonTooOld(SgEventsError):
    """The running daemon (process {pid} on {host}) is older than this command.
    Restart it, and try again.
    """

    pid: object
    host: object


class LettersNotNamed(SgEventsError):
    """Which dead letters? Give their numbers, or one of --plugin, --callback, --error,
    --event and --all."""

    exit_code = 2


class NoSuchLetter(SgEventsError):
    """There is no dead letter {number}. See sgevents dead-letters list."""

    exit_code = 2
    number: int


class PluginNameError(SgEventsError):
    """{name!r} is not a valid plugin name: {reason}. {advice}."""

    exit_code = 2
    name: str
    reason: str
    advice: str


class AuthorError(SgEventsError):
    """{author!r} is not a valid author. Write it like 'Ada Park <ada@studio.example>'."""

    exit_code = 2
    author: str


class PluginFolderExistsError(SgEventsError):
    """{path} already exists, and nothing in it was changed.
    Choose another name, or another folder with --directory.
    """

    exit_code = 2
    path: Path


class PluginFolderError(SgEventsError):
    """{path} cannot be written: {reason}. Choose another folder with --directory."""

    path: Path
    reason: str


class FileInTheWay(SgEventsError):
    """{path} already exists. Replace it with --force, or name another file."""

    exit_code = 2
    path: Path


class NoSuchPluginError(SgEventsError):
    """The configuration has no plugin {plugin!r}. {hint}"""

    exit_code = 2
    plugin: str
    hint: str


class NoDaemonError(SgEventsError):
    """No daemon is running on {path}, so there is nothing to reload.
    `sgevents run` starts one with all changes.
    """

    path: Path


class DaemonElsewhereError(SgEventsError):
    """The daemon on {path} cannot be reloaded from here: {reason}."""

    path: Path
    reason: str


class NotReloadedError(SgEventsError):
    """Not reloaded, the daemon continues as before: {reason}"""

    reason: str


class RollStoppedError(SgEventsError):
    """The reload of all hosts has stopped at {host}, which continues as before: {reason}
    Hosts that have reloaded do the work. Fix it on {host}, then run `sgevents reload` there.
    """

    host: str
    reason: str


class NotTakenYet(SgEventsError):
    """Event {event_id} has not been read yet; the newest one is {newest}. It will be handled when
    it arrives.
    """

    exit_code = 2
    event_id: int
    newest: int


class NoSuchEvent(SgEventsError):
    """Neither the journal nor the site has event {event_id}. sgevents explain shows more."""

    exit_code = 2
    event_id: int


class PluginNotLoaded(SgEventsError):
    """Plugin {plugin} cannot be called: {reason} See sgevents plugins list."""

    exit_code = 2
    plugin: str
    reason: str


class EventNotInJournal(SgEventsError):
    """Event {event_id} is not in the journal. sgevents explain {event_id} shows why."""

    exit_code = 2
    event_id: int


class RangeError(SgEventsError):
    """{text!r} is not an event or a range of events. Write 4711, or 4711-4799."""

    exit_code = 2
    text: str


class NothingToReplay(SgEventsError):
    """Which events? Give an id, a range such as 4711-4799, or --since 2h."""

    exit_code = 2


class BrokerError(StateError):
    """The NATS server {path} cannot be used: {reason}."""

    fix = "see whether the NATS servers run and can be reached: sgevents check"


class BrokerUnreachable(BrokerError):
    """The NATS server {path} does not answer: {reason}.
    Check url in [state], and whether the server runs; it is tried again and again.
    """

    is_sent: bool = False
    """Whether the request was sent, so that the server may have carried it out."""


class BrokerRefused(BrokerError):
    """The NATS server {path} refuses the connection: {reason}.
    Check url in [state], user and password, credentials or nkey, and the certificates there.
    """

    exit_code = 2
    fix = "check url in [state], user and password, credentials or nkey, and the certificates there"


class BrokerForbids(BrokerError):
    """The NATS server {path} does not permit it: {reason}.
    Give the user of [state] the rights that the page on NATS servers lists.
    """

    exit_code = 2
    fix = "give the user of [state] the rights that the page on NATS servers lists"


class BrokerFull(BrokerError):
    """The NATS server {path} stores nothing more: {reason}.
    Nothing is lost, and all waits. Give it more room: raise max_file_store, or the limits of the
    account or of the stream.
    """

    fix = "give it more room: raise max_file_store, or the limits of the account or of the stream"


class StreamMissing(BrokerError):
    """The NATS server {path} has no stream {stream}.
    Make the streams with `sgevents cluster init`.
    """

    exit_code = 2
    stream: str


class StreamLost(BrokerError):
    """The stream {stream} on the NATS server {path} is no longer what it was: {reason}.
    No more callbacks are called, since their record would be incomplete. Stop the daemons of all
    hosts, then restore it from a host's copy: sgevents cluster init, and sgevents cluster restore.
    """

    exit_code = 4
    is_lasting = True
    fix = "stop all daemons, and restore the stream from a copy: sgevents cluster restore"
    stream: str


class LogsUnreadable(StateError):
    """The state {path} cannot be used: {reason}.
    No more callbacks are called. Report it, with the log.
    """

    exit_code = 4
    is_lasting = True


class FrontCut(SgEventsError):
    """The stream {stream} begins with message {first}, and message {wanted} was wanted."""

    stream: str
    first: int
    wanted: int


class UnconfirmedWrite(StateError):
    """The NATS server has not confirmed what was sent to {what}: {reason}.
    It is sent again, and stored once. If this lasts, look at the server, its log and its disk: one
    whose disk was full has to be restarted.
    """

    fix = "see the NATS server's log and disk: one whose disk was full has to be restarted"
    what: str


class OutcomeNotKnown(SgEventsError):
    """It is not known whether the NATS server has stored what was sent to {what}: {reason}.
    The same is sent again, and stored once. If this lasts, look at the server, its log and its
    disk.
    """

    what: str
    reason: str


class NoBrokerError(SgEventsError):
    """{file} names no NATS servers, so there is nothing to do. A state of one host needs none;
    for several hosts, set url in [state].
    """

    exit_code = 2
    file: Path


class ClusterNotReadyError(BrokerError):
    """The NATS server {path} cannot keep the state:

    {listing}
    """

    exit_code = 2
    listing: str

    def __init__(self, *, path: str, listing: str) -> None:
        """Keep the faults of the servers and streams, each with its fix."""
        super().__init__(path=path, listing=listing, reason=listing)

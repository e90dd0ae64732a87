"""Every error that users meet.

The docstring of a class is its message: the culprit's attributes are filled in, and the text tells
the fix. Errors a plugin author raises on purpose (`Retry`) live here too.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple


class SgEventsError(Exception):
    """Something went wrong in sgevents."""

    exit_code: ClassVar[int] = 1
    """What the command `sgevents` exits with when this error ends it; 2 is a user's mistake."""

    def __init__(self, **culprit: Any) -> None:
        """Keep `culprit` as attributes and fill them into the docstring, which is the message."""
        for name, value in culprit.items():
            setattr(self, name, value)
        message = inspect.cleandoc(type(self).__doc__ or type(self).__name__)
        super().__init__(message.format(**culprit))


class DurationError(SgEventsError):
    """ "{text}" is not a duration: {reason}. Write it like 250ms, 1s, 5m, 1h30m or 7d."""

    exit_code = 2
    text: str
    reason: str


class Problem(NamedTuple):
    """One thing to put right in a configuration: where it is, what is wrong, what helps."""

    file: Path
    line: int | None
    """Counted from 1; None where the problem has no line, for one a file that is missing."""
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
    """{source} is not there, and something that needs it was asked for. Set it and start again."""

    exit_code = 2
    source: str


class Retry(Exception):
    """What a callback raises to be called again for the same event, later."""

    def __init__(self, reason: str = "", *, after: str | float | None = None) -> None:
        """Ask for another call.

        Args:
            reason: Shown to people, in the log and in the status.
            after: How long to wait at least, in seconds or as text such as `"5s"`; None leaves it
                to the plugin's usual backoff.
        """
        super().__init__(reason)
        self.reason = reason
        self.after = after


class UnusablePluginError(SgEventsError):
    """A plugin cannot be used.

    The first paragraph of such an error is the reason, the second the fix.
    """

    exit_code = 2

    @property
    def reason(self) -> str:
        """What is wrong, without the fix."""
        return str(self).partition("\n\n")[0]

    @property
    def fix(self) -> str:
        """What the author or the person who runs the plugin can do."""
        return str(self).partition("\n\n")[2]


class MatchError(UnusablePluginError):
    """{where}: @match: {problem}.

    {advice}
    """

    where: str
    problem: str
    advice: str


class RegistrationError(UnusablePluginError):
    """{where}: {problem}.

    {advice}
    """

    where: str
    problem: str
    advice: str


class UnknownHookError(UnusablePluginError):
    """{where}: {hook} is marked @hookimpl, and there is no hook of that name{suggestion}.

    Rename the function, or name its hook: @hookimpl(specname="..."). Without @hookimpl it is a
    plain function.
    """

    where: str
    hook: str
    suggestion: str


class UnknownArgumentError(UnusablePluginError):
    """{where}: {function} wants the argument {argument}, which {hook} does not have{suggestion}.

    Name what it wants of: {known}.
    """

    where: str
    function: str
    hook: str
    argument: str
    suggestion: str
    known: str


class ParameterKindError(UnusablePluginError):
    """{where}: {function} takes {parameter}, which is {kind}: arguments come by position.

    Name what it wants of: {known}.
    """

    where: str
    function: str
    parameter: str
    kind: str
    known: str


class NotPlainFunctionError(UnusablePluginError):
    """{where}: {function} is {kind}: calling it would run nothing.

    Make it a plain `def`; inside, asyncio.run(...) runs async code.
    """

    where: str
    function: str
    kind: str


class NotAFunctionError(UnusablePluginError):
    """{where}: {hook} is {kind}; a hook is implemented by a function or a method.

    Write a `def` that calls it, or give it to registrar.register(...) in register_callbacks.
    """

    where: str
    hook: str
    kind: str


class HookOptionError(UnusablePluginError):
    """{where}: {function} uses {option}, which has no meaning here: nothing wraps a callback.

    Remove it. The order is: group in the configuration, plugin name, place in the module.
    """

    where: str
    function: str
    option: str


class HookTwiceError(UnusablePluginError):
    """{where}: {hook} is implemented twice in one plugin, and it is called once.

    Keep one function and call the other from it.
    """

    where: str
    hook: str


class ClassEntryPointError(UnusablePluginError):
    """the entry point {value} is the class {name}; a plugin is a module or an instance.

    Make an instance in the module, `plugin = {name}()`, and point the entry point at that.
    """

    value: str
    name: str


class PluginRaisedError(UnusablePluginError):
    """{doing} raised {error}{where}.

    Read the traceback below, fix the plugin and start again; or disable it: enabled = false.
    """

    doing: str
    error: str
    where: str


class PluginError(SgEventsError):
    """{count} cannot be used, and --strict wants all of them:

    {listing}
    """

    exit_code = 2
    count: str
    listing: str


class SiteError(SgEventsError):
    """The site {url} did not answer as it should: {reason}."""

    url: str
    reason: str


class SiteUnreachable(SiteError):
    """The site {url} cannot be reached: {reason}. Check the address and the network."""


class SiteAnswerError(SiteError):
    """The site {url} gave an answer that is none: {reason}. Is this address a site's?"""


class SiteFault(SiteError):
    """The site {url} refused a request: {reason}."""


class SiteRefused(SiteError):
    """The site {url} does not accept script_name '{script_name}' with its api_key: {reason}.
    Check both in [site]; keys are made and renewed on the site's Scripts page.
    """

    exit_code = 2
    script_name: str


class StateInUse(SgEventsError):
    """The state {path} is in use by a daemon (process {pid} on {host}).
    One daemon per state: stop that one first, or give this one a [state] path of its own.
    """

    exit_code = 2
    path: str
    pid: int
    host: str


class StateError(SgEventsError):
    """The state {path} cannot be used: {reason}."""

    exit_code = 1
    path: str
    reason: str


class StaleWriter(SgEventsError):
    """Another writer has taken over {what}; this one stops, nothing was written."""

    what: str


class StoreValueError(SgEventsError):
    """Plugin {plugin} cannot keep {key!r} in ctx.store: {reason}.
    Keys are text; values are what JSON knows: text, numbers, true, false, null, lists, mappings.
    """

    plugin: str
    key: object
    reason: str


class UnknownFaultError(SgEventsError):
    """The sandbox knows no fault '{culprit}'. Known are: {known}."""

    exit_code = 2
    culprit: str
    known: str


class PortInUseError(SgEventsError):
    """The sandbox cannot listen on {host}:{port}: {reason}.
    Choose another port, or 0 for one that is free.
    """

    exit_code = 2
    host: str
    port: int
    reason: str


class ConfigExistsError(SgEventsError):
    """{path} is there already. Replace it with --force, or name another file with --config."""

    exit_code = 2
    path: Path


class ConfigNotWrittenError(SgEventsError):
    """{path} cannot be written: {reason}. Name another file with --config."""

    path: Path
    reason: str


class DemoPluginsMissingError(SgEventsError):
    """The demo needs plugins that are not installed: {missing}.
    Install them beside sgevents: pip install sgevents-plugins-example
    """

    exit_code = 2
    missing: str

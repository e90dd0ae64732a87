"""The registrar passed to a classic plugin's `registerCallbacks`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple, NoReturn

from sgevents_core.choices import OnError
from sgevents_core.classic.calls import classic_call
from sgevents_core.classic.filters import classic_match
from sgevents_core.classic.mailing import Mailing
from sgevents_core.errors import ForkAdditionError, RegistrationError
from sgevents_core.markers import Matched
from sgevents_core.observe.log_formats import CLASSIC_LOGGER
from sgevents_core.plugins.callback import Credentials, source_place_of
from sgevents_core.plugins.registrar import CallbackRegistrar
from sgevents_core.plugins.signatures import require_plain_classic
from sgevents_core.settings import Secret, SecretTexts

_ADVICE_ON_ADDITIONS: Final = {
    "getName": "The name is that of the file: os.path.basename(__file__).",
    "getConfig": "Read the plugin's own configuration file, next to __file__.",
    "getEngine": "There is no engine object: a callback has sg, logger, event and args.",
    "engine": "There is no engine object: a callback has sg, logger, event and args.",
    "config": "Read the plugin's own configuration file, next to __file__.",
    "sgConnection": "Give sgScriptName and sgScriptKey; each callback has its own connection.",
}
_ADVICE_ON_FILTERS: Final = (
    "Compare in the callback: if event['project'] and event['project']['id'] == 70: ... "
    "A packaged plugin can narrow this with @match(project=...)."
)
_ADVICE: Final = "Give registerCallback(scriptName, scriptKey, callback, matchEvents, args)."
_ADVICE_ON_SCRIPTS: Final = "Give the name and the key of a script, from the site's Scripts page."
_MISSING: Final = object()


class _Registration(NamedTuple):
    """One call of `registerCallback`.

    Args:
        callback: The callback.
        place: The line of the call.
        credentials: The script with which its connection signs in, and that script's key.
        match_events: Its filter, as the plugin wrote it.
        args: The object passed to each call.
        on_error: What happens on errors; None if the plugin's table decides.
    """

    callback: Any
    place: str
    credentials: Credentials
    match_events: object
    args: object
    on_error: OnError | None


class ClassicRegistrar:
    """The registrar of one classic plugin.

    Args:
        callback_registrar: Takes the callbacks.
        plugin_path: The plugin's file.
        plugin_mailing: Knows to whom the plugin's errors are mailed.
        secret_texts: Takes the keys of scripts.
        takes_policy: Whether `stopOnError` says what happens on errors, not the plugin's table.
    """

    def __init__(
        self,
        callback_registrar: CallbackRegistrar,
        plugin_path: Path,
        plugin_mailing: Mailing,
        secret_texts: SecretTexts,
        *,
        takes_policy: bool = True,
    ) -> None:
        self.logger: Final = plugin_logger(plugin_path)
        self._callback_registrar = callback_registrar
        self._takes_policy = takes_policy
        self._plugin_mailing = plugin_mailing
        self._secret_texts = secret_texts
        self._callback_names: set[str] = set()
        self._registrations: list[_Registration] = []
        self._is_finished = False

    def getLogger(self) -> logging.Logger:
        """Return the plugin's logger."""
        return self.logger

    def setEmails(self, *emails: object) -> None:
        """Set who gets mails about the plugin's errors.

        Args:
            emails: True for the configured recipients, False for nobody, or addresses.
        """
        warning_text = self._plugin_mailing.set_recipients(emails)
        if warning_text is not None:
            self._callback_registrar.warnings.append(f"{_place_of_caller()}: {warning_text}")

    def registerCallback(
        self,
        sgScriptName: object = _MISSING,
        sgScriptKey: object = _MISSING,
        callback: Any = _MISSING,
        matchEvents: object = None,
        args: object = None,
        stopOnError: object = True,
        **other_arguments: object,
    ) -> None:
        """Register a callback.

        Args:
            sgScriptName: The script with which its connection signs in; also `scriptName`.
            sgScriptKey: That script's key; also `scriptKey`.
            callback: The function, called with `(sg, logger, event, args)`.
            matchEvents: The events it is called for: types, each with a list of attributes.
            args: Any object; it is passed to each call.
            stopOnError: Whether an error pauses the plugin; otherwise the event is set aside.
        """
        call_place = _place_of_caller()
        script_name = other_arguments.pop("scriptName", sgScriptName)
        script_key = other_arguments.pop("scriptKey", sgScriptKey)
        for argument_name in other_arguments:
            advice_text = _ADVICE_ON_ADDITIONS.get(argument_name, _ADVICE_ON_FILTERS)
            raise ForkAdditionError(
                where=call_place, name=f"registerCallback({argument_name}=...)", advice=advice_text
            )
        if script_key and script_key is not _MISSING:
            self._secret_texts.add_text(str(script_key))
        credentials = _credentials(script_name, script_key, call_place)
        if not isinstance(script_name, str) or not isinstance(script_key, str):
            warning_text = "the scriptName or the scriptKey is no text: its text form is taken"
            self._callback_registrar.warnings.append(f"{call_place}: {warning_text}")
        if not callable(callback):
            raise RegistrationError(
                where=call_place, problem=f"{_shown(callback)} cannot be called", advice=_ADVICE
            )
        require_plain_classic(callback)
        registration = _Registration(
            callback, call_place, credentials, matchEvents, args, self._on_error(stopOnError)
        )
        if self._is_finished:
            self._add(registration)
        self._registrations.append(registration)

    def finish(self) -> None:
        """Take the callbacks: only now are their filters read, which may be shared and grow."""
        self._is_finished = True
        for registration in self._registrations:
            self._add(registration)

    def _add(self, registration: _Registration) -> None:
        call_place = registration.place
        event_match, match_warnings = classic_match(registration.match_events)
        self._callback_registrar.warnings.extend(
            f"{call_place}: {warning_text}" for warning_text in match_warnings
        )
        callback_name = _callback_name(registration.callback)
        callback_logger = logging.getLogger(f"{self.logger.name}.{callback_name}")
        self._callback_registrar.add_callback(
            classic_call(registration.callback, callback_logger, registration.args),
            Matched(event_match, registration.on_error),
            name=self._unique(callback_name),
            source_line=call_place,
            shown_place=_short_place(registration.callback, call_place),
            credentials=registration.credentials,
        )

    def __getattr__(self, attribute_name: str) -> NoReturn:
        advice_text = _ADVICE_ON_ADDITIONS.get(attribute_name)
        if advice_text is None:
            raise AttributeError(f"the registrar has no {attribute_name}")
        raise ForkAdditionError(
            where=_place_of_caller(), name=f"reg.{attribute_name}", advice=advice_text
        )

    def _on_error(self, stop_on_error: object) -> OnError | None:
        """Return the failure policy of a callback; None if the plugin's table decides."""
        if not self._takes_policy:
            return None
        return "pause" if stop_on_error else "dead-letter"

    def _unique(self, callback_name: str) -> str:
        """Return a name that no other callback of the plugin has, the same after a restart."""
        numbered_names = (
            f"{callback_name}#{name_number}"
            for name_number in range(2, len(self._callback_names) + 3)
        )
        free_name = (
            callback_name
            if callback_name not in self._callback_names
            else next(
                numbered_name
                for numbered_name in numbered_names
                if numbered_name not in self._callback_names
            )
        )
        self._callback_names.add(free_name)
        return free_name


def plugin_logger(plugin_path: Path) -> logging.Logger:
    """Return the logger of the plugin in a file."""
    return logging.getLogger(f"{CLASSIC_LOGGER}.{plugin_path.stem}")


def _credentials(script_name: object, script_key: object, call_place: str) -> Credentials:
    for argument_name, given_value in (("scriptName", script_name), ("scriptKey", script_key)):
        if given_value is None or given_value is _MISSING:
            fault = "missing" if given_value is _MISSING else "None"
            problem_text = f"the {argument_name} is {fault}"
            raise RegistrationError(
                where=call_place, problem=problem_text, advice=_ADVICE_ON_SCRIPTS
            )
    if not script_name and not script_key:
        raise RegistrationError(
            where=call_place,
            problem="the scriptName and the scriptKey are empty",
            advice=_ADVICE_ON_SCRIPTS,
        )
    return Credentials(str(script_name), Secret(str(script_key)))


def _callback_name(callback: object) -> str:
    """Return a callback's own name; for an instance, that of its class."""
    callback_name = getattr(callback, "__name__", None)
    if (
        not isinstance(callback_name, str)
        or not callback_name.strip()
        or not callback_name.isprintable()
    ):
        callback_name = type(callback).__name__
    return callback_name


def _short_place(callback: object, call_place: str) -> str:
    """Return where a callback is defined, or else registered: `notify.py:12`."""
    definition_place = source_place_of(callback)
    return (definition_place if ":" in definition_place else call_place).rpartition("/")[2]


def _shown(given_value: object) -> str:
    return "nothing" if given_value is _MISSING else f"{type(given_value).__name__} as a callback"


def _place_of_caller() -> str:
    """Return the line of the plugin that is running: `/path/of/file.py:12`."""
    stack_frame = next(
        stack_frame for stack_frame in _frames() if stack_frame.f_code.co_filename != __file__
    )
    return f"{stack_frame.f_code.co_filename}:{stack_frame.f_lineno}"


def _frames() -> Iterator[FrameType]:
    stack_frame: FrameType | None = sys._getframe(1)
    while stack_frame is not None:
        yield stack_frame
        stack_frame = stack_frame.f_back

"""The registrar passed to a classic plugin's `registerCallbacks`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

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


class ClassicRegistrar:
    """The registrar of one classic plugin.

    Args:
        registrar: Takes the callbacks.
        path: The plugin's file.
        mailing: Knows to whom the plugin's errors are mailed.
        secrets: Takes the keys of scripts.
        takes_policy: Whether `stopOnError` says what happens on errors, not the plugin's table.
    """

    def __init__(
        self,
        registrar: CallbackRegistrar,
        path: Path,
        mailing: Mailing,
        secrets: SecretTexts,
        *,
        takes_policy: bool = True,
    ) -> None:
        self.logger: Final = plugin_logger(path)
        self._registrar = registrar
        self._takes_policy = takes_policy
        self._mailing = mailing
        self._secrets = secrets
        self._names: set[str] = set()

    def getLogger(self) -> logging.Logger:
        """Return the plugin's logger."""
        return self.logger

    def setEmails(self, *emails: object) -> None:
        """Set who gets mails about the plugin's errors.

        Args:
            emails: True for the configured recipients, False for nobody, or addresses.
        """
        warning = self._mailing.set_recipients(emails)
        if warning is not None:
            self._registrar.warnings.append(f"{_place_of_caller()}: {warning}")

    def registerCallback(
        self,
        sgScriptName: object = _MISSING,
        sgScriptKey: object = _MISSING,
        callback: Any = _MISSING,
        matchEvents: object = None,
        args: object = None,
        stopOnError: object = True,
        **others: object,
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
        place = _place_of_caller()
        script_name = others.pop("scriptName", sgScriptName)
        script_key = others.pop("scriptKey", sgScriptKey)
        for name in others:
            advice = _ADVICE_ON_ADDITIONS.get(name, _ADVICE_ON_FILTERS)
            raise ForkAdditionError(
                where=place, name=f"registerCallback({name}=...)", advice=advice
            )
        if isinstance(script_key, str) and script_key:
            self._secrets.add_text(script_key)
        credentials = _credentials(script_name, script_key, place)
        if not callable(callback):
            raise RegistrationError(
                where=place, problem=f"{_shown(callback)} cannot be called", advice=_ADVICE
            )
        require_plain_classic(callback)
        match, warnings = classic_match(matchEvents)
        self._registrar.warnings.extend(f"{place}: {warning}" for warning in warnings)
        name = _callback_name(callback)
        logger = logging.getLogger(f"{self.logger.name}.{name}")
        self._registrar.add_callback(
            classic_call(callback, logger, args),
            Matched(match, self._on_error(stopOnError)),
            name=self._unique(name),
            source_line=place,
            shown_place=_short_place(callback, place),
            credentials=credentials,
        )

    def __getattr__(self, name: str) -> NoReturn:
        advice = _ADVICE_ON_ADDITIONS.get(name)
        if advice is None:
            raise AttributeError(f"the registrar has no {name}")
        raise ForkAdditionError(where=_place_of_caller(), name=f"reg.{name}", advice=advice)

    def _on_error(self, stop_on_error: object) -> OnError | None:
        """Return the failure policy of a callback; None if the plugin's table decides."""
        if not self._takes_policy:
            return None
        return "pause" if stop_on_error else "dead-letter"

    def _unique(self, name: str) -> str:
        """Return a name that no other callback of the plugin has, the same after a restart."""
        numbered = (f"{name}#{number}" for number in range(2, len(self._names) + 3))
        free = (
            name
            if name not in self._names
            else next(one for one in numbered if one not in self._names)
        )
        self._names.add(free)
        return free


def plugin_logger(path: Path) -> logging.Logger:
    """Return the logger of the plugin in a file."""
    return logging.getLogger(f"{CLASSIC_LOGGER}.{path.stem}")


def _credentials(script_name: object, script_key: object, place: str) -> Credentials:
    for what, value in (("scriptName", script_name), ("scriptKey", script_key)):
        if not isinstance(value, str):
            raise RegistrationError(
                where=place,
                problem=f"the {what} is {'missing' if value is _MISSING else 'no text'}",
                advice=_ADVICE_ON_SCRIPTS,
            )
    if not script_name and not script_key:
        raise RegistrationError(
            where=place,
            problem="the scriptName and the scriptKey are empty",
            advice=_ADVICE_ON_SCRIPTS,
        )
    return Credentials(str(script_name), Secret(str(script_key)))


def _callback_name(callback: object) -> str:
    """Return a callback's own name; for an instance, that of its class."""
    name = getattr(callback, "__name__", None)
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        name = type(callback).__name__
    return name


def _short_place(callback: object, place: str) -> str:
    """Return where a callback is defined, or else registered: `notify.py:12`."""
    defined = source_place_of(callback)
    return (defined if ":" in defined else place).rpartition("/")[2]


def _shown(value: object) -> str:
    return "nothing" if value is _MISSING else f"{type(value).__name__} as a callback"


def _place_of_caller() -> str:
    """Return the line of the plugin that is running: `/path/of/file.py:12`."""
    frame = next(frame for frame in _frames() if frame.f_code.co_filename != __file__)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back

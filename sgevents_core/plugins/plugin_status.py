"""The status of a plugin, and what metadata and configuration alone show about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from sgevents_core import __version__
from sgevents_core.errors import Problem
from sgevents_core.plugins.signatures import suggestion

if TYPE_CHECKING:
    from sgevents_core.plugins.discovery import Discovery, FoundPlugin
    from sgevents_core.settings import PluginSettings

Status: TypeAlias = Literal[
    "enabled", "disabled", "broken", "incompatible", "conflict", "not installed"
]
"""The result of loading a plugin."""
Standing: TypeAlias = Status | Literal["held", "paused", "not started"]
"""The result of loading, or the state of an enabled plugin in the ledger."""
_ONE_OF_THEM: Final = "Uninstall one of them, then install the other once more."
CORE: Final = "sgevents-core"


@dataclass(frozen=True, kw_only=True)
class PluginStatus:
    """The status of a plugin: whether it is loaded, why not, and how to fix it."""

    name: str
    status: Standing
    reason: str = ""
    fix: str = ""
    distribution: str | None = None
    version: str | None = None
    group: str | None = None
    """None if the configuration does not name the plugin."""
    lane: str | None = None
    order: int | None = None
    """Its position in the call order, from 1; None unless it is loaded."""
    callbacks: int | None = None
    """The number it registered; None unless it is loaded."""
    warnings: tuple[str, ...] = ()
    traceback: str = ""
    """The traceback if its code raised, shortened to its own frames; otherwise empty."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with its own settings."""
    running: str | None = None
    """The version that a running daemon has loaded; None if no daemon has loaded it."""

    def told(self) -> str:
        """Return its status in one line for people, with the reason and the fix."""
        return f"{self.name} is {told_status(self.status)}: {_sentence(self.reason)} {self.fix}"


@dataclass(frozen=True, kw_only=True)
class Unusable:
    """The reason why a plugin cannot be loaded, known before it is imported."""

    status: Status
    reason: str
    fix: str


def told_status(status: Standing) -> str:
    """Return `status` as worded after "is"."""
    return "in conflict" if status == "conflict" else status


def chosen(
    name: str, settings: PluginSettings | None, discovery: Discovery
) -> FoundPlugin | Unusable:
    """Return the entry point that the configuration means by `name`, or why there is none.

    Args:
        name: The plugin's name.
        settings: Its table in the configuration; None if it has none.
        discovery: The installed plugins.
    """
    if name in discovery.clashes:
        return Unusable(status="conflict", reason=discovery.clashes[name], fix=_ONE_OF_THEM)
    claims = discovery.claimants(name)
    wanted = settings.distribution if settings else None
    if not claims:
        return _not_installed(name, discovery)
    if wanted is None:
        return claims[0] if len(claims) == 1 else _conflict(name, claims)
    provided = [found for found in claims if found.is_from(wanted)]
    if len(provided) == 1:
        return provided[0]
    return _conflict(name, tuple(provided)) if provided else _refused(name, wanted, claims)


def incompatibility(found: FoundPlugin, settings: PluginSettings | None) -> Unusable | None:
    """Return why `found` does not fit this version or the configuration; None if it does."""
    return _core_too_old_or_new(found) or _version_unwanted(found, settings)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _not_installed(name: str, discovery: Discovery) -> Unusable:
    close = suggestion(name, discovery.names)
    unread = "".join(f"; cannot be read: {problem}" for problem in discovery.problems)
    return Unusable(
        status="not installed",
        reason=f"no installed distribution has a plugin called {name!r}{close}{unread}",
        fix="Install its distribution with pip, or correct the name in [plugins.NAME].",
    )


def _conflict(name: str, claims: tuple[FoundPlugin, ...]) -> Unusable:
    listed = " and ".join(f"{found.provider} ({found.value})" for found in claims)
    return Unusable(
        status="conflict",
        reason=f"{name!r} is claimed by {listed}",
        fix=f'Uninstall one, or choose: distribution = "{claims[0].distribution}" '
        f"in [plugins.{name}].",
    )


def _refused(name: str, wanted: str, claims: tuple[FoundPlugin, ...]) -> Unusable:
    listed = " and ".join(found.provider for found in claims)
    return Unusable(
        status="conflict",
        reason=f"{name!r} is provided by {listed}, and the configuration wants it from {wanted}",
        fix=f"Install {wanted}, or correct `distribution` in [plugins.{name}].",
    )


def _core_too_old_or_new(found: FoundPlugin) -> Unusable | None:
    for line in found.requires:
        specifier = _core_specifier(line)
        if specifier is not None and not specifier.contains(__version__, prereleases=True):
            return Unusable(
                status="incompatible",
                reason=f"{found.provider} needs {CORE} {specifier}, this is {__version__}",
                fix=f"Install another version of {found.distribution}, or the {CORE} it needs.",
            )
    return None


def _core_specifier(requirement: str) -> SpecifierSet | None:
    """Return the versions of sgevents-core that `requirement` allows; None if it is for another."""
    try:
        parsed = Requirement(requirement)
    except InvalidRequirement:
        return None
    applies = parsed.marker is None or parsed.marker.evaluate({"extra": ""})
    is_core = canonicalize_name(parsed.name) == CORE
    return parsed.specifier if is_core and applies else None


def _version_unwanted(found: FoundPlugin, settings: PluginSettings | None) -> Unusable | None:
    if settings is None or settings.version is None:
        return None
    try:
        fits = SpecifierSet(settings.version).contains(found.version or "", prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        fits = False
    if fits:
        return None
    return Unusable(
        status="incompatible",
        reason=f"{found.provider} is installed, and the configuration wants {settings.version}",
        fix=f'pip install "{found.distribution}{settings.version}", or change `version` in '
        f"[plugins.{found.name}].",
    )

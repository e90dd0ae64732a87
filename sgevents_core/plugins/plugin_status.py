"""The status of a plugin, as far as its metadata and the configuration alone determine it."""

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
_REINSTALL_FIX: Final = "Uninstall one of them, then install the other once more."
CORE_DISTRIBUTION: Final = "sgevents-core"


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
    """The problems in the plugin's own settings."""
    running: str | None = None
    """The version that a running daemon has loaded; None if no daemon has loaded it."""

    def summary(self) -> str:
        """Return its status in one line for people, with the reason and the fix."""
        return f"{self.name} is {status_words(self.status)}: {_sentence(self.reason)} {self.fix}"


@dataclass(frozen=True, kw_only=True)
class Unusable:
    """The reason why a plugin cannot be loaded, known before it is imported."""

    status: Status
    reason: str
    fix: str


def status_words(status: Standing) -> str:
    """Return `status` as worded after "is"."""
    return "in conflict" if status == "conflict" else status


def choose_entry_point(
    name: str, settings: PluginSettings | None, discovery: Discovery
) -> FoundPlugin | Unusable:
    """Return the entry point that the configuration means by `name`, or why there is none.

    Args:
        name: The plugin's name.
        settings: Its table in the configuration; None if it has none.
        discovery: The installed plugins.
    """
    if name in discovery.clashes:
        return Unusable(status="conflict", reason=discovery.clashes[name], fix=_REINSTALL_FIX)
    claimants = discovery.claimants(name)
    wanted_distribution = settings.distribution if settings else None
    if not claimants:
        return _not_installed(name, discovery)
    if wanted_distribution is None:
        return claimants[0] if len(claimants) == 1 else _conflict(name, claimants)
    matching_claimants = [plugin for plugin in claimants if plugin.is_from(wanted_distribution)]
    if len(matching_claimants) == 1:
        return matching_claimants[0]
    return (
        _conflict(name, tuple(matching_claimants))
        if matching_claimants
        else _wrong_distribution(name, wanted_distribution, claimants)
    )


def incompatibility(plugin: FoundPlugin, settings: PluginSettings | None) -> Unusable | None:
    """Return why `plugin` does not fit this version or the configuration; None if it does."""
    return _core_mismatch(plugin) or _version_mismatch(plugin, settings)


def _sentence(reason_text: str) -> str:
    return reason_text if reason_text.endswith((".", "?", "!")) else f"{reason_text}."


def _not_installed(name: str, discovery: Discovery) -> Unusable:
    name_suggestion = suggestion(name, discovery.names)
    unread = "".join(f"; cannot be read: {problem}" for problem in discovery.problems)
    if ":" in name:  # only files in classic folders have such names
        return Unusable(
            status="not installed",
            reason=f"no folder of classic plugins has the file of {name!r}{name_suggestion}",
            fix="Put the file back, or correct the name in [plugins.NAME].",
        )
    return Unusable(
        status="not installed",
        reason=f"no installed distribution has a plugin called {name!r}{name_suggestion}{unread}",
        fix="Install its distribution with pip, or correct the name in [plugins.NAME].",
    )


def _conflict(name: str, claimants: tuple[FoundPlugin, ...]) -> Unusable:
    claimant_list = " and ".join(f"{plugin.provider} ({plugin.value})" for plugin in claimants)
    return Unusable(
        status="conflict",
        reason=f"{name!r} is claimed by {claimant_list}",
        fix=f'Uninstall one, or choose: distribution = "{claimants[0].distribution}" '
        f"in [plugins.{name}].",
    )


def _wrong_distribution(
    name: str, wanted_distribution: str, claimants: tuple[FoundPlugin, ...]
) -> Unusable:
    claimant_list = " and ".join(plugin.provider for plugin in claimants)
    return Unusable(
        status="conflict",
        reason=f"{name!r} is provided by {claimant_list}, and the configuration wants it from "
        f"{wanted_distribution}",
        fix=f"Install {wanted_distribution}, or correct `distribution` in [plugins.{name}].",
    )


def _core_mismatch(plugin: FoundPlugin) -> Unusable | None:
    for requirement_line in plugin.requires:
        specifier = _core_specifier(requirement_line)
        if specifier is not None and not specifier.contains(__version__, prereleases=True):
            return Unusable(
                status="incompatible",
                reason=f"{plugin.provider} needs {CORE_DISTRIBUTION} {specifier}, this is "
                f"{__version__}",
                fix=f"Install another version of {plugin.distribution}, or the "
                f"{CORE_DISTRIBUTION} it needs.",
            )
    return None


def _core_specifier(requirement: str) -> SpecifierSet | None:
    """Return the versions of sgevents-core that `requirement` allows; None if it is for another."""
    try:
        parsed_requirement = Requirement(requirement)
    except InvalidRequirement:
        return None
    is_applicable = parsed_requirement.marker is None or parsed_requirement.marker.evaluate(
        {"extra": ""}
    )
    is_core = canonicalize_name(parsed_requirement.name) == CORE_DISTRIBUTION
    return parsed_requirement.specifier if is_core and is_applicable else None


def _version_mismatch(plugin: FoundPlugin, settings: PluginSettings | None) -> Unusable | None:
    if settings is None or settings.version is None:
        return None
    try:
        is_wanted_version = SpecifierSet(settings.version).contains(
            plugin.version or "", prereleases=True
        )
    except (InvalidSpecifier, InvalidVersion):
        is_wanted_version = False
    if is_wanted_version:
        return None
    return Unusable(
        status="incompatible",
        reason=f"{plugin.provider} is installed, and the configuration wants {settings.version}",
        fix=f'pip install "{plugin.distribution}{settings.version}", or change `version` in '
        f"[plugins.{plugin.name}].",
    )

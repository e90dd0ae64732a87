"""The command `sgevents check`: checks everything that a run needs, before anything runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sgevents_core.cli.findings import (
    Finding,
    Status,
    of_config,
    without_secrets,
    worst,
    write_json,
    write_table,
)
from sgevents_core.cli.printing import read_configuration, read_to_look
from sgevents_core.cli.root import config_option
from sgevents_core.errors import ConfigError, StockClientError
from sgevents_core.observe.redaction import secrets_of
from sgevents_core.settings import Settings
from sgevents_core.settings.access import find_exposures

if TYPE_CHECKING:
    from sgevents_core.plugins.discovery import Discovery
    from sgevents_core.plugins.load_watching import PluginWatch
    from sgevents_core.plugins.plugin_status import PluginStatus

WRONG_CONFIG: Final = 2
SOMETHING_FAILS: Final = 1


@click.command()
@config_option
@click.option("--schema", is_flag=True, help="Compare filters of plugins with the site's schema.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object, for scripts.")
def check(config: Path, schema: bool, as_json: bool) -> None:
    """Check everything a run needs, before anything runs.

    Checks the configuration, reporting all its problems at once, the site, the script's key and
    rights, the clock, the state folder, the log and the plugins. Changes nothing; imports the
    enabled plugins. With --schema it also checks that the site has the entity types, fields and
    values that filters use.

    Exits with 0 if a run can start (possibly with warnings), 1 if the site, the state folder, the
    log or a plugin prevents it, 2 if the configuration is wrong.
    """
    findings, wrong_config = examine(config, schema=schema)
    if as_json:
        write_json(findings, config, sys.stdout)
    else:
        write_table(findings, sys.stdout)
    if wrong_config:
        sys.exit(WRONG_CONFIG)
    sys.exit(SOMETHING_FAILS if worst(findings) == "problem" else 0)


def examine(config: Path, *, schema: bool = False) -> tuple[list[Finding], bool]:
    """Check everything; return the findings, and whether the configuration is wrong.

    With `schema` the filters of plugins are compared with the site's schema as well. If the
    configuration is wrong, only that is reported, since nothing else can be checked; if only
    secrets are missing, whatever needs none is checked as well.
    """
    try:
        settings = read_configuration(config)
    except ConfigError as error:
        return of_config(error.problems, "problem") + _without_secrets(config), True
    findings = of_config(settings.warnings, "warning")
    findings = findings or [Finding("config", "ok", f"{config} is right")]
    loading = _Loading(settings, schema=schema)
    looks = [("site", _site), ("state", _state), ("log", _log), ("plugins", loading.findings)]
    looks += [("schema", loading.schema_findings)] * schema
    for area, look in looks:
        findings += _surely(area, look, settings)
    return without_secrets(findings, settings), False


def _without_secrets(config: Path) -> list[Finding]:
    """Check what needs no secret, if nothing but secrets is wrong with the configuration."""
    try:
        settings = read_to_look(config)
    except ConfigError:
        return []
    looks = [
        ("state", _local_state),
        ("log", _log),
        ("plugins", _Loading(settings, schema=False).findings),
    ]
    findings = [one for area, look in looks for one in _surely(area, look, settings)]
    return without_secrets(findings, settings)


def _surely(
    area: str, look: Callable[[Settings], list[Finding]], settings: Settings
) -> list[Finding]:
    """Run one check so that an unexpected error does not hide the other findings."""
    try:
        return look(settings)
    except StockClientError as error:
        return [Finding(area, "problem", error.reason, error.fix)]
    except Exception as error:
        message = f"it could not be looked at: {type(error).__name__}: {error}"
        return [Finding(area, "problem", message, "this is a mistake in sgevents; report it")]


def _site(settings: Settings) -> list[Finding]:
    from sgevents_core.cli.check_site import site_findings

    return site_findings(settings)


def _state(settings: Settings) -> list[Finding]:
    from sgevents_core.cli.check_feed import feed_findings

    return _local_state(settings) + feed_findings(settings)


def _local_state(settings: Settings) -> list[Finding]:
    """Check the state without asking the site."""
    from sgevents_core.cli.check_aside import aside_findings
    from sgevents_core.cli.check_state import state_findings

    return state_findings(settings.state.path) + aside_findings(settings.state.path)


def _log(settings: Settings) -> list[Finding]:
    from sgevents_core.cli.check_log import log_findings

    return log_findings(settings)


class _Loading:
    """The plugins, loaded once for all checks of them."""

    def __init__(self, settings: Settings, *, schema: bool) -> None:
        self._settings = settings
        self._schema = schema

    @cached_property
    def _discovery(self) -> Discovery:
        from sgevents_core.plugins.discovery import discover

        return discover()

    @cached_property
    def _looked_at(self) -> tuple[tuple[PluginStatus, ...], list[Finding]]:
        """The statuses of the plugins, and what their filters use that the site does not have."""
        from sgevents_core.crashes.loading_apart import looked_at_apart

        return looked_at_apart(self._settings, self._look)

    def _look(self, watch: PluginWatch) -> tuple[tuple[PluginStatus, ...], list[Finding]]:
        from sgevents_core.cli.check_schema import schema_findings
        from sgevents_core.plugins.loading import load

        loaded = load(self._settings, self._discovery, watch=watch)
        wanted = schema_findings(self._settings, loaded.callbacks) if self._schema else []
        return loaded.statuses, wanted

    def findings(self, settings: Settings) -> list[Finding]:
        statuses = self._looked_at[0]
        found = [
            Finding("plugins", "warning", problem, "install that distribution again")
            for problem in self._discovery.problems
        ]
        found += [
            Finding("plugins", "warning", remark.text, remark.fix)
            for remark in self._discovery.remarks
        ]
        for one in statuses:
            found += _of_plugin(one, settings)
        return found + _of_the_idle(statuses, settings) + _of_literal_secrets(settings)

    def schema_findings(self, settings: Settings) -> list[Finding]:
        return self._looked_at[1]


def _of_plugin(one: PluginStatus, settings: Settings) -> list[Finding]:
    """Return the findings about a plugin that is enabled or in trouble."""
    if one.status == "disabled":
        return []
    warnings = [Finding("plugins", "warning", text, subject=one.name) for text in one.warnings]
    if one.status == "enabled":
        message = f"enabled, from {one.distribution} {one.version or ''}".rstrip()
        return [Finding("plugins", "ok", message, subject=one.name), *warnings]
    wanted = one.name in settings.plugins and settings.plugins[one.name].enabled
    status: Status = "problem" if wanted else "warning"
    if one.problems:
        return [found._replace(area="plugins") for found in of_config(one.problems, status)]
    message = f"{one.status}: {one.reason}"
    finding = Finding("plugins", status, message, one.fix, one.name, detail=one.traceback)
    return [finding, *warnings]


def _of_the_idle(statuses: Iterable[PluginStatus], settings: Settings) -> list[Finding]:
    findings = []
    if not any(plugin.enabled for plugin in settings.plugins.values()):
        fix = "set enabled = true below [plugins.NAME]; `sgevents plugins list` knows the names"
        findings.append(Finding("plugins", "warning", "no plugin is enabled", fix))
    idle = sorted(one.name for one in statuses if one.status == "disabled")
    if idle:
        message = f"installed and not enabled: {', '.join(idle)}"
        findings.append(Finding("plugins", "ok", message))
    return findings


def _of_literal_secrets(settings: Settings) -> list[Finding]:
    """Warn of secrets in a file that others can read, which only the plugins' models identify."""
    kept_elsewhere = set(secrets_of(settings))
    is_literal = any(text not in kept_elsewhere for text in settings.learned_secrets)
    exposed = find_exposures(settings.path, "this file", holds_secret=is_literal)
    return [
        Finding("plugins", "warning", one.message, one.fix, file=settings.path)
        for one in exposed
        if one.reveals_secret and not any(told.message == one.message for told in settings.warnings)
    ]

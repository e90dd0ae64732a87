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
    FindingStatus,
    config_findings,
    without_secrets,
    worst_status,
    write_json,
    write_table,
)
from sgevents_core.cli.printing import read_configuration, read_for_inspection
from sgevents_core.cli.root import config_option
from sgevents_core.errors import ConfigError, StockClientError
from sgevents_core.observe.redaction import secrets_of
from sgevents_core.settings import Settings
from sgevents_core.settings.file_access import find_exposures
from sgevents_core.settings.spelling import toml_string

if TYPE_CHECKING:
    from sgevents_core.plugins.discovery import Discovery
    from sgevents_core.plugins.load_watching import PluginWatch
    from sgevents_core.plugins.plugin_status import PluginStatus

EXIT_WRONG_CONFIG: Final = 2
EXIT_PROBLEM: Final = 1


@click.command()
@config_option
@click.option("--schema", is_flag=True, help="Compare filters of plugins with the site's schema.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object, for scripts.")
def check(config: Path, schema: bool, as_json: bool) -> None:
    """Check everything a run needs, before anything runs.

    Checks the configuration, reporting all its problems at once, the site, the script's key and
    rights, the clock, the state folder, the NATS servers, the log and the plugins. Changes nothing;
    imports the enabled plugins. With --schema it also checks that the site has the entity types,
    fields and values that filters use.

    Exits with 0 if a run can start (possibly with warnings), 1 if the site, the state folder, the
    NATS servers, the log or a plugin prevents it, 2 if the configuration is wrong.
    """
    findings, is_config_wrong = examine_all(config, schema=schema)
    if as_json:
        write_json(findings, config, sys.stdout)
    else:
        write_table(findings, sys.stdout)
    if is_config_wrong:
        sys.exit(EXIT_WRONG_CONFIG)
    sys.exit(EXIT_PROBLEM if worst_status(findings) == "problem" else 0)


def examine_all(config: Path, *, schema: bool = False) -> tuple[list[Finding], bool]:
    """Run all checks; return the findings, and whether the configuration is wrong.

    With `schema` the filters of plugins are compared with the site's schema as well. If the
    configuration is wrong, only that is reported, since nothing else can be checked; if only
    secrets are missing, whatever needs none is checked as well.
    """
    try:
        settings = read_configuration(config)
    except ConfigError as error:
        return config_findings(error.problems, "problem") + _secretless_findings(config), True
    findings = config_findings(settings.warnings, "warning")
    findings = findings or [Finding("config", "ok", f"{config} is right")]
    plugin_loading = _PluginLoading(settings, schema=schema)
    area_checks = [
        ("site", _site_findings),
        ("state", _state_findings),
        ("servers", _broker_findings),
        ("log", _log_findings),
        ("metrics", _metrics_findings),
        ("alerts", _alerts_findings),
        ("plugins", plugin_loading.plugin_findings),
    ]
    area_checks += [("schema", plugin_loading.schema_findings)] * schema
    for area, run_check in area_checks:
        findings += _guarded_check(area, run_check, settings)
    return without_secrets(findings, settings), False


def _secretless_findings(config: Path) -> list[Finding]:
    """Run the checks that need no secret, if the configuration lacks only secrets."""
    try:
        settings = read_for_inspection(config)
    except ConfigError:
        return []
    area_checks = [
        ("state", _local_state_findings),
        ("log", _log_findings),
        ("metrics", _metrics_findings),
        ("alerts", _alerts_findings),
        ("plugins", _PluginLoading(settings, schema=False).plugin_findings),
    ]
    findings = [
        finding
        for area, run_check in area_checks
        for finding in _guarded_check(area, run_check, settings)
    ]
    return without_secrets(findings, settings)


def _guarded_check(
    area: str, run_check: Callable[[Settings], list[Finding]], settings: Settings
) -> list[Finding]:
    """Run one check so that an unexpected error does not hide the other findings."""
    try:
        return run_check(settings)
    except StockClientError as error:
        return [Finding(area, "problem", error.reason, error.fix)]
    except Exception as error:
        message = f"it could not be checked: {type(error).__name__}: {error}"
        return [Finding(area, "problem", message, "this is a mistake in sgevents; report it")]


def _site_findings(settings: Settings) -> list[Finding]:
    from sgevents_core.cli.check_site import site_findings

    return site_findings(settings)


def _state_findings(settings: Settings) -> list[Finding]:
    from sgevents_core.cli.check_feed import feed_findings

    return _local_state_findings(settings) + feed_findings(settings)


def _local_state_findings(settings: Settings) -> list[Finding]:
    """Check the state without asking the site."""
    from sgevents_core.cli.check_aside import aside_findings
    from sgevents_core.cli.check_database import opening_findings
    from sgevents_core.cli.check_state import running_findings, state_findings

    folder = settings.state.path
    findings = state_findings(folder)
    if settings.state.url is None and folder.is_dir():
        findings += opening_findings(folder)
    return findings + running_findings(folder) + aside_findings(folder)


def _broker_findings(settings: Settings) -> list[Finding]:
    from sgevents_core.cli.check_broker import broker_findings

    return broker_findings(settings)


def _log_findings(settings: Settings) -> list[Finding]:
    from sgevents_core.cli.check_log import log_findings

    return log_findings(settings)


def _metrics_findings(settings: Settings) -> list[Finding]:
    from sgevents_core.cli.check_metrics import metrics_findings

    return metrics_findings(settings)


def _alerts_findings(settings: Settings) -> list[Finding]:
    from sgevents_core.cli.check_alerts import alerts_findings

    return alerts_findings(settings)


class _PluginLoading:
    """The plugins, loaded once for all checks of them."""

    def __init__(self, settings: Settings, *, schema: bool) -> None:
        self._settings = settings
        self._compares_schema = schema

    @cached_property
    def _discovery(self) -> Discovery:
        from sgevents_core.classic.finding import find_plugins

        return find_plugins(self._settings)

    @cached_property
    def _loading_result(self) -> tuple[tuple[PluginStatus, ...], list[Finding]]:
        """The statuses of the plugins, and the parts of their filters that the site lacks."""
        from sgevents_core.crashes.loading_apart import inspect_apart

        return inspect_apart(self._settings, self._load_and_compare)

    def _load_and_compare(
        self, watch: PluginWatch
    ) -> tuple[tuple[PluginStatus, ...], list[Finding]]:
        from sgevents_core.cli.check_schema import schema_findings
        from sgevents_core.plugins.loading import load

        loaded = load(self._settings, self._discovery, watch=watch)
        schema_problems = (
            schema_findings(self._settings, loaded.callbacks) if self._compares_schema else []
        )
        return loaded.statuses, schema_problems

    def plugin_findings(self, settings: Settings) -> list[Finding]:
        statuses = self._loading_result[0]
        findings = [
            Finding("plugins", "warning", problem, "install that distribution again")
            for problem in self._discovery.problems
        ]
        findings += [
            Finding("plugins", "warning", remark.text, remark.fix)
            for remark in self._discovery.remarks
        ]
        for status in statuses:
            findings += _plugin_findings(status, settings)
        return (
            findings
            + _idle_plugin_findings(statuses, settings)
            + _literal_secret_findings(settings)
        )

    def schema_findings(self, settings: Settings) -> list[Finding]:
        return self._loading_result[1]


def _plugin_findings(status: PluginStatus, settings: Settings) -> list[Finding]:
    """Return the findings about a plugin that is enabled or in trouble."""
    if status.status == "disabled":
        return []
    warnings = [
        Finding("plugins", "warning", text, subject=status.name) for text in status.warnings
    ]
    if status.status == "enabled":
        message = f"enabled, from {status.distribution} {status.version or ''}".rstrip()
        return [Finding("plugins", "ok", message, subject=status.name), *warnings]
    is_enabled = status.name in settings.plugins and settings.plugins[status.name].enabled
    finding_status: FindingStatus = "problem" if is_enabled else "warning"
    if status.problems:
        return [
            config_finding._replace(area="plugins")
            for config_finding in config_findings(status.problems, finding_status)
        ]
    message = f"{status.status}: {status.reason}"
    finding = Finding(
        "plugins", finding_status, message, status.fix, status.name, detail=status.traceback
    )
    return [finding, *warnings]


def _idle_plugin_findings(statuses: Iterable[PluginStatus], settings: Settings) -> list[Finding]:
    findings = []
    if not any(plugin.enabled for plugin in settings.plugins.values()):
        fix = "set enabled = true below [plugins.NAME]; `sgevents plugins list` knows the names"
        findings.append(Finding("plugins", "warning", "no plugin is enabled", fix))
    idle_plugins = sorted(status.name for status in statuses if status.status == "disabled")
    if idle_plugins:
        message = f"installed and not enabled: {', '.join(idle_plugins)}"
        findings.append(Finding("plugins", "ok", message))
    return findings


def _literal_secret_findings(settings: Settings) -> list[Finding]:
    """Warn of secrets, marked as such by plugins' models, in a file that others can read."""
    known_secrets = set(secrets_of(settings))
    config_text = settings.path.read_text("utf-8", "replace") if settings.path.is_file() else ""
    is_literal = any(
        text in config_text or toml_string(text).strip('"') in config_text
        for text in settings.learned_secrets
        if text not in known_secrets  # the rest may also stand in files of classic plugins
    )
    exposures = find_exposures(settings.path, "this file", holds_secret=is_literal)
    return [
        Finding("plugins", "warning", exposure.message, exposure.fix, file=settings.path)
        for exposure in exposures
        if exposure.reveals_secret
        and not any(warning.message == exposure.message for warning in settings.warnings)
    ]

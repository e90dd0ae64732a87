"""What `sgevents check` finds: one finding for each thing looked at, and the ways to show them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TextIO, TypeAlias

from sgevents_core.errors import Problem
from sgevents_core.settings import Secret, Settings

Status: TypeAlias = Literal["ok", "warning", "problem"]
_STYLES: Final = {"ok": "green", "warning": "yellow", "problem": "bold red"}
_SHORTEST_SECRET: Final = 4
_UNWRAPPED: Final = 10_000


class Finding(NamedTuple):
    """One thing that was looked at, and how it is."""

    area: str
    """config, site, rights, clock, state, plugins or schema."""
    status: Status
    message: str
    fix: str = ""
    subject: str = ""
    """What of the area: a key of the configuration, a plugin; empty for the area itself."""
    file: Path | None = None
    line: int | None = None
    detail: str = ""
    """Lines that help to find the place, such as a traceback."""


def of_config(problems: Iterable[Problem], status: Status) -> list[Finding]:
    """Return the problems or warnings of a configuration as findings."""
    return [
        Finding("config", status, one.message, one.fix, one.key, one.file, one.line)
        for one in problems
    ]


def worst(findings: Sequence[Finding]) -> Status:
    """Return the worst status there is."""
    statuses = {finding.status for finding in findings}
    return "problem" if "problem" in statuses else "warning" if "warning" in statuses else "ok"


def without_secrets(findings: Iterable[Finding], settings: Settings) -> list[Finding]:
    """Return `findings` with every secret of `settings` struck out, whoever put it there."""
    texts = [text for text in _secrets_of(settings) if len(text) >= _SHORTEST_SECRET]

    def struck(text: str) -> str:
        for secret in texts:
            text = text.replace(secret, "***")
        return text

    return [
        one._replace(message=struck(one.message), fix=struck(one.fix), detail=struck(one.detail))
        for one in findings
    ]


def _secrets_of(settings: Settings) -> Iterable[str]:
    yield from _revealed(settings.site.api_key)
    user, at, _ = (settings.site.http_proxy or "").rpartition("@")
    if at:
        yield user.partition(":")[2]
    for plugin in settings.plugins.values():
        yield from _revealed(plugin.api_key)
        yield from _revealed(plugin.settings)


def _revealed(value: Any) -> Iterable[str]:
    if isinstance(value, Secret):
        if value.is_there:
            yield value.reveal()
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _revealed(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _revealed(inner)


def write_json(findings: Sequence[Finding], config: Path, out: TextIO) -> None:
    """Write one JSON object: `status`, `config` and `findings`."""
    report = {
        "status": worst(findings),
        "config": str(config),
        "findings": [finding._asdict() for finding in findings],
    }
    out.write(json.dumps(report, indent=2, default=str) + "\n")


def write_table(findings: Sequence[Finding], out: TextIO) -> None:
    """Write a table for people: the status, the area, what is, and below it the fix."""
    from rich.console import Console  # noqa: PLC0415 - heavy, and `--json` needs none of it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(file=out, highlight=False)
    if not console.is_terminal:
        console.width = _UNWRAPPED
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        text = Text(_sentence(finding), overflow="fold")
        if finding.fix:
            text.append(f"\n  fix: {finding.fix}", style="italic")
        for line in finding.detail.splitlines():
            text.append(f"\n  {line}", style="dim")
        table.add_row(Text(finding.status, _STYLES[finding.status]), finding.area, text)
    with console.capture() as shown:
        console.print(table)
    lines = [line.rstrip() for line in shown.get().splitlines()]
    out.write("\n".join([*lines, "", _summary(findings), ""]))


def _sentence(finding: Finding) -> str:
    place = f"{finding.file}:{finding.line}: " if finding.line else ""
    if finding.file and not place:
        place = f"{finding.file}: "
    subject = f"{finding.subject}: " if finding.subject else ""
    return f"{place}{subject}{finding.message}"


def _summary(findings: Sequence[Finding]) -> str:
    counts = []
    for status in ("problem", "warning"):
        count = sum(finding.status == status for finding in findings)
        if count:
            counts.append(f"{count} {status}{'s' * (count > 1)}")
    return ", ".join(counts) if counts else "All is well."

"""What `sgevents check` finds: one finding for each thing looked at, and the ways to show them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, TextIO, TypeAlias

from sgevents_core.errors import Problem
from sgevents_core.observe.redaction import Redactor
from sgevents_core.printable import lines, one_line
from sgevents_core.settings import Settings

Status: TypeAlias = Literal["ok", "warning", "problem"]
_STYLES: Final = {"ok": "green", "warning": "yellow", "problem": "bold red"}
_UNWRAPPED: Final = 10_000


class Finding(NamedTuple):
    """One thing that was looked at, and how it is."""

    area: str
    """config, site, rights, clock, state, log, plugins or schema."""
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
    redact = Redactor.of(settings)
    return [
        one._replace(message=redact(one.message), fix=redact(one.fix), detail=redact(one.detail))
        for one in findings
    ]


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
        text = Text(lines(_sentence(finding), indent="  "), overflow="fold")
        if finding.fix:
            text.append(f"\n  fix: {lines(finding.fix, indent='    ')}", style="italic")
        for line in finding.detail.splitlines():
            text.append(f"\n  {one_line(line)}", style="dim")
        table.add_row(Text(finding.status, _STYLES[finding.status]), finding.area, text)
    with console.capture() as shown:
        console.print(table)
    printed = [line.rstrip() for line in shown.get().splitlines()]
    out.write("\n".join([*printed, "", _summary(findings), ""]))


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

"""The findings of `sgevents check`, one per thing checked, and how to show them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, TextIO, TypeAlias

from sgevents_core.cli.printing import without_empty
from sgevents_core.cli.tables import wrapped
from sgevents_core.errors import Problem
from sgevents_core.observe.redaction import Redactor
from sgevents_core.printable import one_line
from sgevents_core.settings import Settings

Status: TypeAlias = Literal["ok", "warning", "problem"]
_STYLES: Final = {"ok": "green", "warning": "yellow", "problem": "bold red"}
_BELOW: Final = "    "


class Finding(NamedTuple):
    """One thing that was checked, and the result."""

    area: str
    """config, site, rights, clock, state, log, plugins or schema."""
    status: Status
    message: str
    fix: str = ""
    subject: str = ""
    """The part of the area: a key of the configuration, a plugin; empty for the whole area."""
    file: Path | None = None
    line: int | None = None
    detail: str = ""
    """Lines that help to find the cause, such as a traceback."""


def of_config(problems: Iterable[Problem], status: Status) -> list[Finding]:
    """Return the problems or warnings of a configuration as findings."""
    return [
        Finding("config", status, one.message, one.fix, one.key, one.file, one.line)
        for one in problems
    ]


def state_problem(message: str, fix: str) -> Finding:
    """Return a finding about the state that somebody has to mend."""
    return Finding("state", "problem", message, fix)


def worst(findings: Sequence[Finding]) -> Status:
    """Return the worst status of all findings."""
    statuses = {finding.status for finding in findings}
    return "problem" if "problem" in statuses else "warning" if "warning" in statuses else "ok"


def without_secrets(findings: Iterable[Finding], settings: Settings) -> list[Finding]:
    """Return `findings` with every secret of `settings` removed, wherever it came from."""
    redact = Redactor.of(settings)
    return [
        one._replace(message=redact(one.message), fix=redact(one.fix), detail=redact(one.detail))
        for one in findings
    ]


def write_json(findings: Sequence[Finding], config: Path, out: TextIO) -> None:
    """Write one JSON object: `status`, `config` and `findings`."""
    report = {
        "version": 1,
        "status": worst(findings),
        "config": str(config),
        "findings": [without_empty(finding._asdict()) for finding in findings],
    }
    out.write(json.dumps(report, indent=2, default=str) + "\n")


def write_table(findings: Sequence[Finding], out: TextIO) -> None:
    """Write lines for people: status, area, finding, and the fix below."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=out, highlight=False, soft_wrap=True)
    areas = max((len(finding.area) for finding in findings), default=0)
    for finding in findings:
        begin = f"{finding.status:8} {finding.area:{areas}}  "
        message = wrapped(begin + one_line(_sentence(finding)), _BELOW)
        text = Text(message)
        text.stylize(_STYLES[finding.status], 0, len(finding.status))
        if finding.fix:
            text.append("\n" + wrapped(f"{_BELOW}fix: {one_line(finding.fix)}", f"{_BELOW}     "))
        for line in finding.detail.splitlines():
            text.append(f"\n{_BELOW}{one_line(line)}", style="dim")
        console.print(text)
    console.print(f"\n{_summary(findings)}")


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

"""The findings of `sgevents check`, one per check, and how to show them."""

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

FindingStatus: TypeAlias = Literal["ok", "warning", "problem"]
_STATUS_STYLES: Final = {"ok": "green", "warning": "yellow", "problem": "bold red"}
_INDENT: Final = "    "


class Finding(NamedTuple):
    """The object of a check, and the result."""

    area: str
    """config, site, rights, clock, state, servers, log, metrics, alerts, plugins or schema."""
    status: FindingStatus
    message: str
    fix: str = ""
    subject: str = ""
    """The subject within the area: a configuration key or a plugin; empty for the whole area."""
    file: Path | None = None
    line: int | None = None
    detail: str = ""
    """Lines that help to find the cause, such as a traceback."""


def config_findings(problems: Iterable[Problem], status: FindingStatus) -> list[Finding]:
    """Return the problems or warnings of a configuration as findings."""
    return [
        Finding(
            "config", status, problem.message, problem.fix, problem.key, problem.file, problem.line
        )
        for problem in problems
    ]


def state_problem(wrapped_message: str, fix: str) -> Finding:
    """Return a finding about a problem of the state."""
    return Finding("state", "problem", wrapped_message, fix)


def worst_status(findings: Sequence[Finding]) -> FindingStatus:
    """Return the worst status of all findings."""
    statuses = {finding.status for finding in findings}
    return "problem" if "problem" in statuses else "warning" if "warning" in statuses else "ok"


def without_secrets(findings: Iterable[Finding], settings: Settings) -> list[Finding]:
    """Return `findings` with every secret of `settings` removed, wherever it came from."""
    redactor = Redactor.of(settings)
    return [
        finding._replace(
            message=redactor(finding.message),
            fix=redactor(finding.fix),
            detail=redactor(finding.detail),
        )
        for finding in findings
    ]


def write_json(findings: Sequence[Finding], config: Path, output: TextIO) -> None:
    """Write one JSON object: `status`, `config` and `findings`."""
    report_fields = {
        "version": 1,
        "status": worst_status(findings),
        "config": str(config),
        "findings": [without_empty(finding._asdict()) for finding in findings],
    }
    output.write(json.dumps(report_fields, indent=2, default=str) + "\n")


def write_table(findings: Sequence[Finding], output: TextIO) -> None:
    """Write lines for people: status, area, finding, and the fix below."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=output, highlight=False, soft_wrap=True)
    area_width = max((len(finding.area) for finding in findings), default=0)
    for finding in findings:
        line_start = f"{finding.status:8} {finding.area:{area_width}}  "
        wrapped_message = wrapped(line_start + one_line(_finding_sentence(finding)), _INDENT)
        rich_text = Text(wrapped_message)
        rich_text.stylize(_STATUS_STYLES[finding.status], 0, len(finding.status))
        if finding.fix:
            rich_text.append(
                "\n" + wrapped(f"{_INDENT}fix: {one_line(finding.fix)}", f"{_INDENT}     ")
            )
        for line in finding.detail.splitlines():
            rich_text.append(f"\n{_INDENT}{one_line(line)}", style="dim")
        console.print(rich_text)
    console.print(f"\n{_counts_summary(findings)}")


def _finding_sentence(finding: Finding) -> str:
    place_prefix = f"{finding.file}:{finding.line}: " if finding.line else ""
    if finding.file and not place_prefix:
        place_prefix = f"{finding.file}: "
    subject_prefix = f"{finding.subject}: " if finding.subject else ""
    return f"{place_prefix}{subject_prefix}{finding.message}"


def _counts_summary(findings: Sequence[Finding]) -> str:
    count_texts = []
    for status in ("problem", "warning"):
        status_count = sum(finding.status == status for finding in findings)
        if status_count:
            count_texts.append(f"{status_count} {status}{'s' * (status_count > 1)}")
    return ", ".join(count_texts) if count_texts else "All is well."

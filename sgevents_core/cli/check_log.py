"""Check that the current user can write each log file."""

from __future__ import annotations

from pathlib import Path

from sgevents_core.cli.check_state import nearest_folder, trouble_in
from sgevents_core.cli.findings import Finding
from sgevents_core.observe.logs import plugin_file_path
from sgevents_core.settings import Settings

_PERMISSION_FIX = "let the user that runs sgevents write there, or name another file in [log]"


def log_findings(settings: Settings) -> list[Finding]:
    """Check `[log] file`, and the files of plugins beside it. Leave nothing behind."""
    log_file = settings.log.file
    if log_file is None:
        return []
    enabled = [name for name, table in settings.plugins.items() if table.enabled]
    plugin_files = (
        [plugin_file_path(log_file, name) for name in enabled] if settings.log.per_plugin else []
    )
    write_troubles = [(path, _write_trouble(path)) for path in (log_file, *plugin_files)]
    findings = [
        Finding("log", "problem", f"{path} cannot be written: {trouble}", _PERMISSION_FIX)
        for path, trouble in write_troubles
        if trouble
    ]
    return findings or [Finding("log", "ok", f"{log_file} can be written")]


def _write_trouble(path: Path) -> str:
    """Return why a log cannot be written; empty if it can."""
    try:
        if path.exists():
            with path.open("ab"):
                return ""
    except OSError as error:
        return error.strerror or str(error)
    return trouble_in(nearest_folder(path.parent))

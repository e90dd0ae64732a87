"""Report the files in classic folders that are not plugins: each once, not at every start."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from sgevents_core.state.plain_files import read_plain_file, replace_plain_file

logger = logging.getLogger("sgevents.daemon")

REPORTED_FILES: Final = "classic-helpers.json"
"""The file in the state's folder that lists the files reported so far."""


def report_helper_files(helper_paths: Iterable[Path], state_folder: Path) -> None:
    """Report files that are not plugins, except those reported in an earlier run.

    Args:
        helper_paths: All such files that exist.
        state_folder: The state's folder.
    """
    list_path = state_folder / REPORTED_FILES
    reported_paths = _read_paths(list_path)
    new_paths = [
        helper_path for helper_path in helper_paths if str(helper_path) not in reported_paths
    ]
    for helper_path in new_paths:
        record_fields = {"action": "classic.no_plugin"}
        logger.info(
            "%s is not a plugin, but others may import it", helper_path, extra=record_fields
        )
    if new_paths:
        with suppress(OSError):  # they are reported again at the next start
            all_paths = sorted({*reported_paths, *map(str, new_paths)})
            replace_plain_file(list_path, msgspec.json.encode(all_paths))


def _read_paths(list_path: Path) -> set[str]:
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(read_plain_file(list_path), type=set[str])
    return set()

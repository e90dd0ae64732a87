"""A process of its own loads plugins, and its answer is read whenever it ends."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from classic_files import config_text

from sgevents_core.crashes import loading_apart
from sgevents_core.crashes.loading_apart import inspect_apart
from sgevents_core.readiness import wait_until_readable
from sgevents_core.settings import read_settings


def test_an_answer_that_comes_with_the_end_of_the_process_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine, the process may answer and end between two looks."""
    looks: list[int] = []

    def wait_too_short(descriptors: Sequence[Any], seconds: float | None) -> list[Any]:
        looks.append(1)
        if len(looks) > 1:
            return wait_until_readable(descriptors, seconds)
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        return []

    monkeypatch.setattr(loading_apart, "wait_until_readable", wait_too_short)
    settings = read_settings(config_text(()), tmp_path / "sgevents.toml")
    assert inspect_apart(settings, lambda watch: "the answer") == "the answer"

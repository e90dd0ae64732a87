"""Chaos in network namespaces says what is missing where nobody may make them."""

from __future__ import annotations

import os
from pathlib import Path

import chaos_run
import pytest
from namespaces import missing_rights


def test_missing_command_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the package that has it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing_rights() == "the command ip is not there: install the package iproute2"


def test_missing_rights_end_the_run_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is started."""
    program = tmp_path / "ip"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert chaos_run.main(["--namespaces", "--minutes", "0.1"]) == 2
    assert "only root may make network namespaces" in capsys.readouterr().err

"""What plugins print while they are only looked at shows no secret and forges no line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from installed_packages import Packages

from sgevents_core.cli.root import sgevents

CONFIG = """
[site]
url = "http://127.0.0.1:1"
script_name = "sgevents"
api_key = "printed-demo-key"
[plugins.ends]
enabled = true
[plugins.loud]
enabled = true
"""
LOUD = r"""
import os, sys
from sgevents_core import hookimpl

print("\x1b[2J\u202e the key is printed-demo-key")
os.write(2, b"<0>forged\n" + b"x" * 3000 + b"\n")
@hookimpl
def on_new(event): ...
@hookimpl
def register_commands(group):
    group.command("greet", help="Say \x1b[2J hello.")(lambda: None)
"""


@pytest.mark.parametrize("words", [["plugins", "list"], ["plugins", "list", "--json"], ["--help"]])
def test_what_is_printed_is_text(
    packages: Packages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """Each line once, though plugins are loaded anew when one of them has ended the process."""
    packages.install_module("ends", "import os\nprint('so long')\nos._exit(3)")
    packages.install_module("loud", LOUD)
    (tmp_path / "sgevents.toml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(sgevents, words)
    printed = [line for line in done.stderr.splitlines() if line.startswith("[printed] ")]
    assert [line for line in printed if "x" * 9 not in line and "so long" not in line] == [
        r"[printed] \x1b[2J\u202e the key is ***",
        "[printed] <0>forged",
    ]
    assert "printed-demo-key" not in done.output + done.stderr
    assert all(one.isprintable() for one in (done.output + done.stderr).replace("\n", ""))
    if "--json" in words:
        assert json.loads(done.stdout)

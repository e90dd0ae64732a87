"""Shells complete commands, plugins and event types, also beside a configuration with mistakes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from running_daemon import RunningDaemon

from sgevents_core.cli.root import sgevents
from sgevents_core.sandbox import Sandbox

CONFIG = """[site]
url = "https://studio.example"
script_name = "daemon"
api_key = { env = "COMPLETION_KEY" }
[plugins.chat]
[plugins.chart]
[plugins."roll up"]
"""


def completed(*words: str) -> list[str]:
    """Return what a shell would offer for the last of these words."""
    completer = ShellComplete(sgevents, {}, "sgevents", "_SGEVENTS_COMPLETE")
    return [item.value for item in completer.get_completions(list(words[:-1]), words[-1])]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with three plugins."""
    path = tmp_path / "sgevents.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "command",
    [
        ("pause",),
        ("resume",),
        ("skip",),
        ("plugins", "show"),
        ("plugins", "retry"),
        ("replay", "--plugin"),
        ("dead-letters", "list", "--plugin"),
    ],
    ids=" ".join,
)
def test_plugins_are_completed(config: Path, command: tuple[str, ...]) -> None:
    """Those of the configuration that the line or the environment names."""
    head = command if not command[-1].startswith("--") else command[:-1]
    tail = command[len(head) :]
    assert completed(*head, "-c", str(config), *tail, "cha") == ["chart", "chat"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SGEVENTS_CONFIG", str(config))
        assert completed(*command, "ro") == ["roll up"]


@pytest.mark.parametrize("mistake", ["[feed]\npoll_interval = 3\n", "[site\n", None])
def test_mistakes_in_the_file_offer_what_can_be_read(config: Path, mistake: str | None) -> None:
    """A shell never shows an error between two words."""
    if mistake is None:
        config.unlink()
    else:
        config.write_text(CONFIG + mistake, encoding="utf-8")
    offered = ["chart", "chat"] if mistake and "feed" in mistake else []
    assert completed("pause", "-c", str(config), "cha") == offered


def test_event_types_are_those_seen(tmp_path: Path) -> None:
    """Nothing is offered before a daemon has run."""
    with Sandbox() as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.write_config()
        words = ("plan", "-c", str(daemon.config), "Studio_")
        assert completed(*words) == []
        site.event("Studio_Render")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SGEVENTS_TEST_KEY", site.api_key)
            with pytest.raises(SystemExit):
                sgevents.main(["run", "--drain", "-c", str(daemon.config)])
        assert completed(*words) == ["Studio_Render"]


def test_commands_are_completed() -> None:
    """Without importing those that are not asked for."""
    assert completed("dead") == ["dead-letters"]
    assert completed("config", "s") == ["schema", "show"]


def test_script_completes_in_a_real_bash(config: Path, tmp_path: Path) -> None:
    """What the command writes defines a function that offers the plugins."""
    bash = shutil.which("bash")
    assert bash is not None
    command = tmp_path / "sgevents"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m sgevents_core "$@"\n')
    command.chmod(0o755)
    script = f"""PATH={tmp_path}:$PATH
eval "$(sgevents completion bash)"
COMP_WORDS=(sgevents pause -c {config} chat) COMP_CWORD=4
_sgevents_completion sgevents; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    offered = subprocess.run([bash, "-c", script], capture_output=True, text=True, check=True)
    assert offered.stdout.split() == ["chat"], offered.stderr


def test_unknown_shell_is_refused_with_those_known() -> None:
    """As any wrong choice."""
    command = [sys.executable, "-m", "sgevents_core", "completion", "tcsh"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "'bash', 'zsh', 'fish'" in refused.stderr

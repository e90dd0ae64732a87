"""Commands that only look at plugins: none of them ends or hangs with one that does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from installed_packages import Packages
from waiting import PATIENCE

SITE = '[site]\nurl = "http://127.0.0.1:1"\nscript_name = "s"\napi_key = "demo-key"\n'
HEAD = "import ctypes, os, signal, sys, threading, time\nfrom sgevents_core import hookimpl\n"
FINE = """
    import click
    from sgevents_core import hookimpl

    @hookimpl
    def on_new(event): ...

    @hookimpl
    def register_commands(group):
        group.add_command(click.Command("wave", callback=lambda: click.echo("waves")))
"""
DEEDS = {
    "exits": ("os._exit(0)", "it called os._exit"),
    "crashes": ("ctypes.string_at(0)", "Segmentation fault"),
    "ends": ("ctypes.CDLL(None)._exit(5)", "it ended with exit code 5"),
    "kills": ("ctypes.CDLL(None).raise_(9) if 0 else os.kill(os.getpid(), 9)", "it called os.kill"),
    "becomes": ("os.execv('/bin/true', ['true'])", "it called os.execv"),
    "sleeps": ("time.sleep(3600)", "did not return within 300ms"),
    "holds": ("ctypes.PyDLL(None).sleep(3600)", "did not return within 300ms"),
}
STEPS = {
    "importing": "{deed}",
    "settings_model": "@hookimpl\ndef settings_model():\n    {deed}",
    "register_callbacks": "@hookimpl\ndef register_callbacks(registrar):\n    {deed}",
}
COMMANDS = {
    "check": ["check", "--json"],
    "list": ["plugins", "list", "--json"],
    "plan": ["plan", "Shotgun_Task_New", "--json"],
    "rehearsal": ["run", "--rehearse"],
}


@pytest.fixture
def config(packages: Packages, tmp_path: Path) -> Path:
    """A configuration that enables one plugin that is fine and many that are not."""
    packages.install_module("fine", FINE)
    names = ["fine"]
    for number, (deed, (code, _)) in enumerate(DEEDS.items()):
        step = list(STEPS)[number % len(STEPS)]
        packages.install_module(deed, HEAD + STEPS[step].format(deed=code))
        names.append(deed)
    file = tmp_path / "sgevents.toml"
    tables = ""
    for name in names:
        load_timeout = "300ms" if name in {"sleeps", "holds"} else "1m"
        tables += f'[plugins.{name}]\nenabled = true\nload_timeout = "{load_timeout}"\n'
    file.write_text(SITE + tables, "utf-8")
    file.chmod(0o600)
    return file


def run(packages: Packages, config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `sgevents` as a person does."""
    path = os.pathsep.join([str(packages.folder), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-m", "sgevents_core", *arguments, "--config", str(config)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def standing(listed_plugins: list[dict[str, str]]) -> dict[str, str]:
    """Return how the plugins stand that are enabled, from the list as JSON."""
    return {
        listed_plugin["name"]: listed_plugin["status"]
        for listed_plugin in listed_plugins
        if listed_plugin["status"] != "disabled"
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_name_each_plugin_and_go_on(
    packages: Packages, config: Path, command: str
) -> None:
    """What each has done is said of it, and the one that is fine is looked at."""
    completed = run(packages, config, *COMMANDS[command])
    answer = json.loads(completed.stdout)
    everything = json.dumps(answer) + completed.stderr
    for deed, (_, how) in DEEDS.items():
        assert deed in everything
        assert how in everything, deed
    if command == "plan":
        assert [call["plugin"] for call in answer["calls"]] == ["fine"]
    if command == "list":
        assert standing(answer["plugins"]) == {"fine": "enabled", **dict.fromkeys(DEEDS, "broken")}


def test_schema_and_help_and_commands_of_plugins_survive(packages: Packages, config: Path) -> None:
    """The schema says whose settings it lacks, help lists the others' commands, and they run."""
    packages.install_module("late", HEAD + "@hookimpl\ndef register_commands(group): os._exit(3)")
    table = '[plugins.late]\nenabled = true\nload_timeout = "300ms"\n'
    config.write_text(config.read_text("utf-8") + table, "utf-8")
    completed = run(packages, config, "config", "schema")
    assert json.loads(completed.stdout)["properties"]
    assert "The settings of crashes are not in the schema" in completed.stderr
    called = run(packages, config, "wave")
    assert (called.returncode, called.stdout) == (0, "waves\n")
    unknown = run(packages, config, "wafe")
    assert "Did you mean wave?" in unknown.stderr
    assert "register_commands; it called os._exit" in unknown.stderr


def test_what_plugins_print_spoils_no_answer(packages: Packages, tmp_path: Path) -> None:
    """Neither Python's print nor what C writes; it goes to standard error."""
    packages.install_module(
        "loud",
        """
        import os, subprocess, sys
        print("printed")
        sys.__stdout__.write("around")
        os.write(1, b"written")
        subprocess.run(["echo", "echoed"])
        """,
    )
    file = tmp_path / "sgevents.toml"
    file.write_text(SITE + "[plugins.loud]\nenabled = true\n", "utf-8")
    file.chmod(0o600)
    for arguments in COMMANDS.values():
        completed = run(packages, file, *arguments)
        assert json.loads(completed.stdout), arguments
        for word in ("printed", "around", "written", "echoed"):
            assert word in completed.stderr, arguments


def test_fork_while_it_is_imported_answers_once(packages: Packages, tmp_path: Path) -> None:
    """The other process ends at the border of the import, whatever it returns or raises."""
    for name, code in {"returns": "os.fork()", "raises": "os.fork() or sys.exit(4)"}.items():
        packages.install_module(name, HEAD + code)
    file = tmp_path / "sgevents.toml"
    tables = "[plugins.returns]\nenabled = true\n[plugins.raises]\nenabled = true\n"
    file.write_text(SITE + tables, "utf-8")
    file.chmod(0o600)
    listed_plugins = json.loads(run(packages, file, "plugins", "list", "--json").stdout)["plugins"]
    assert standing(listed_plugins) == {"returns": "enabled", "raises": "enabled"}


def test_thread_that_ends_the_process_later_is_known_by_who_started_it(
    packages: Packages, tmp_path: Path
) -> None:
    """The plugin that is loaded at that time has done nothing."""
    packages.install_module(
        "sneaky",
        HEAD
        + "def later():\n    time.sleep(0.2)\n    os._exit(3)\n"
        + "threading.Thread(target=later).start()\n",
    )
    packages.install_module("waits", "import time\ntime.sleep(1)")
    file = tmp_path / "sgevents.toml"
    tables = "[plugins.sneaky]\nenabled = true\n[plugins.waits]\nenabled = true\n"
    file.write_text(SITE + tables, "utf-8")
    file.chmod(0o600)
    listed_plugins = json.loads(run(packages, file, "plugins", "list", "--json").stdout)["plugins"]
    assert standing(listed_plugins) == {"sneaky": "broken", "waits": "enabled"}
    (reason,) = [plugin["reason"] for plugin in listed_plugins if plugin["name"] == "sneaky"]
    assert "a thread that it started while importing sneaky; it called os._exit" in reason

"""The command `sgevents sandbox`."""

from __future__ import annotations

import signal
from xmlrpc.client import ProtocolError

import pytest
from click.testing import CliRunner, Result
from sandbox_command import connect_client, running_sandbox
from waiting import PATIENCE

from sgevents_core.cli.root import sgevents
from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.faults import FAULT_KINDS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_stopped(number: signal.Signals) -> None:
    """It prints what a client needs, serves it, and exits 0 on Ctrl-C and SIGTERM."""
    options = ("--events", "50", "--rate", "20", "--seed", "3", "--api-key", "other-demo-key")
    with running_sandbox(*options, "--fault", "status:status=500,method=summarize") as (
        process,
        values,
    ):
        assert values["api_key"] == "other-demo-key"
        sg = connect_client(values)
        assert sg.find_one("Project", [["name", "is", "Fox and Heron"]])
        with pytest.raises(ProtocolError):
            sg.summarize("Shot", [], [{"field": "id", "type": "count"}])
        sg.close()
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0


def run(*options: str) -> Result:
    """Run the command until it exits."""
    return CliRunner().invoke(sgevents, ["sandbox", *options])


def test_port_in_use_is_a_message() -> None:
    """A port in use is reported in a sentence, with exit code 2."""
    with Sandbox(project=False) as site:
        done = run("--port", site.url.rsplit(":", 1)[1])
    assert done.exit_code == 2
    assert "sgevents: The sandbox cannot listen on 127.0.0.1:" in done.output


def test_unknown_fault_is_a_message() -> None:
    """A misspelt fault is reported with the known ones, with exit code 2."""
    done = run("--fault", "statsu")
    assert done.exit_code == 2
    assert "sgevents: The sandbox has no fault 'statsu'" in done.output


@pytest.mark.parametrize("options", [("--rate", "-1"), ("--events", "-1"), ("--port", "70000")])
def test_invalid_numbers_are_reported(options: tuple[str, str]) -> None:
    """A number out of range is reported with its option, with exit code 2."""
    done = run(*options)
    assert done.exit_code == 2
    assert f"Invalid value for '{options[0]}'" in done.output


def test_help_names_all_faults() -> None:
    """`--help` describes the command and each kind of fault."""
    done = run("--help")
    assert done.exit_code == 0
    assert "stand-in site" in done.output
    assert all(f"  {kind}" in done.output for kind in FAULT_KINDS)

"""What plugins print never spoils a log that is JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox

LOUD = """
    import ctypes, os, subprocess, sys, threading
    from sgevents_core import hookimpl

    def shout(when):
        print(f"{when} printed")
        print(f"{when} warned", file=sys.stderr)
        sys.__stdout__.write(f"{when} around\\n")
        sys.stdout.buffer.write(f"{when} buffered\\n".encode())
        sys.stdout.flush()
        os.write(1, f"{when} to one\\n".encode())
        os.write(2, f"{when} to two\\n".encode())
        ctypes.CDLL(None).puts(f"{when} in c".encode())
        ctypes.CDLL(None).fflush(None)
        subprocess.run(["sh", "-c", f"echo {when} echoed; echo {when} complained >&2"])
        os.write(1, b"\\xff\\xfe no text\\n")
        os.write(1, b'{"level": "forged"}\\n')

    shout("importing")
    print("without end", end="")

    @hookimpl
    def startup(ctx):
        shout("starting")

    @hookimpl
    def on_event(event, ctx):
        shout("called")
        def broken():
            raise ValueError("in a thread")
        thread = threading.Thread(target=broken)
        thread.start()
        thread.join()

    @hookimpl
    def shutdown(ctx):
        shout("stopping")
"""
WORDS = (
    "printed",
    "warned",
    "around",
    "buffered",
    "to one",
    "to two",
    "in c",
    "echoed",
    "complained",
)


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site whose events are those of the tests alone."""
    with Sandbox(project=False) as running:
        yield running


def test_every_line_of_a_json_log_is_a_record(tmp_path: Path, site: Sandbox) -> None:
    """Whatever a plugin prints, and however, at its import or later."""
    daemon = RunningDaemon(tmp_path, site)
    daemon.install("loud", LOUD)
    site.event("Studio_A")
    assert daemon.drain() == 0
    lines = daemon.output.read_text("utf-8").splitlines()
    assert lines.pop().startswith("0 ids still waited for"), "the answer of --drain comes last"
    records = [json.loads(line) for line in lines]
    printed = [r["message"] for r in records if r.get("action") == "plugin.printed"]
    for when in ("importing", "starting", "called", "stopping"):
        for word in WORDS:
            assert any(f"{when} {word}" in message for message in printed), (when, word)
    assert any("ValueError: in a thread" in r["message"] for r in records)
    assert not any(r["level"] == "forged" for r in records)


AROUND = """
    import sys
    from sgevents_core import hookimpl

    @hookimpl
    def on_event(event, ctx):
        sys.__stdout__.write("around the stream\\n")
        sys.__stderr__.write("and the other\\n")
"""


def test_original_streams_keep_nothing_in_memory(
    tmp_path: Path, site: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written to them is in the log while the daemon runs, not only at its end."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    daemon = RunningDaemon(tmp_path, site)
    daemon.install("around", AROUND)
    with daemon.running():
        site.event("Studio_A")
        printed_lines = {"around the stream", "and the other"}
        wait_until(lambda: printed_lines <= {record["message"] for record in daemon.told()})


FORGER = """
    import os
    from sgevents_core import hookimpl

    print("as it is \\x1b[2J")
    os.write(2, b"<0>the key is printed-demo-key\\n")

    @hookimpl
    def startup(ctx):
        begin = b"x" * (65_536 - 8)  # what is read at once ends within the key
        os.write(1, begin + b"printed-demo-key" + b"y" * 16_400 + b"\\nthe end\\n")
"""


def test_log_for_people_in_a_file_has_records_too(tmp_path: Path, site: Sandbox) -> None:
    """No line forges another, or a priority of journald's; a secret is known in a long one too."""
    daemon = RunningDaemon(tmp_path, site)
    daemon.log = '[log]\nformat = "human"\n'
    daemon.install(
        "forger", FORGER, keys='[plugins.forger.settings]\nkey = {env = "PRINTED_KEY"}\n'
    )
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("PRINTED_KEY", "printed-demo-key")
        assert daemon.drain() == 0
    log_text = daemon.output.read_text("utf-8")
    printed = [
        line.partition("[printed] ")[2] for line in log_text.splitlines() if "[printed]" in line
    ]
    assert printed[:2] == ["as it is \\x1b[2J", "<0>the key is ***"]
    assert "".join(printed[2:-1]) == "x" * 65_528 + "***" + "y" * 16_400
    assert printed[-1] == "the end"
    assert "<0>" not in {line[:3] for line in log_text.splitlines()}


TO_A_PERSON = """
import sys
from sgevents_core.observe.printed_output import PrintedOutput
from sgevents_core.observe.redaction import Redactor
from sgevents_core.settings import LogSettings

printed = PrintedOutput(LogSettings(format="human"), Redactor())
with printed.separate_log_stream(), printed.captured():
    print("as it is", file=sys.stderr)
"""


def test_person_at_a_terminal_sees_it_as_it_is() -> None:
    """And can stop there with a debugger."""
    terminal_end, child_end = os.openpty()
    with os.fdopen(terminal_end, "rb") as terminal:
        subprocess.run([sys.executable, "-c", TO_A_PERSON], stderr=child_end, check=True)
        os.close(child_end)
        assert terminal.readline() == b"as it is\r\n"

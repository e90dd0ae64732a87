"""What plugins print never spoils a log that is JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_daemon import RunningDaemon

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
    assert lines.pop().startswith("0 id(s) still waited for"), "the answer of --drain comes last"
    records = [json.loads(line) for line in lines]
    printed = [r["message"] for r in records if r.get("action") == "plugin.printed"]
    for when in ("importing", "starting", "called", "stopping"):
        for word in WORDS:
            assert any(f"{when} {word}" in message for message in printed), (when, word)
    assert any("ValueError: in a thread" in r["message"] for r in records)
    assert not any(r["level"] == "forged" for r in records)


def test_log_for_people_is_left_alone(tmp_path: Path, site: Sandbox) -> None:
    """They see what is printed beside it."""
    daemon = RunningDaemon(tmp_path, site)
    daemon.log = '[log]\nformat = "human"\n'
    daemon.install("loud", "print('as it is')")
    assert daemon.drain() == 0
    assert "as it is" in daemon.output.read_text("utf-8").splitlines()

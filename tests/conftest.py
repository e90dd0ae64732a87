"""What holds for all tests."""

from __future__ import annotations

import gc
import os
import re
import signal
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from processor_time import limited_to

if TYPE_CHECKING:
    from nats_server import NatsServer

MOST_PROCESSOR_TIME = 60.0
"""Of one test and its fixtures, in seconds: the longest take a tenth of it."""

MOST_DESCRIPTORS: Final = 300
"""Open at the end of all tests: each test closes what it opens."""

LONGEST_END: Final = 5.0
"""Seconds that a thread may take to end after all tests."""

GZIP_MAGIC: Final = b"\x1f\x8b"

os.environ.pop("COLUMNS", None)  # pytest-xdist sets it, and commands would wrap what they say

# A shell's background job ignores Ctrl-C, and so would the commands that are started here.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Limit what a test computes; `timeout` in pyproject.toml is there for what hangs."""
    with limited_to(MOST_PROCESSOR_TIME):
        return (yield)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Refuse what `gzip` packed as the name of a test: it holds the second in which it was packed.

    Processes that share the tests must all know them by the same names.
    """
    if isinstance(val, bytes) and val.startswith(GZIP_MAGIC):
        raise ValueError(f"give the values of {argname!r} names (ids=[...]): {val[:20]!r}...")
    return None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the tests if they leave files open or threads that Python would wait for."""
    config = session.config
    leftovers = [*config.stash.get(_LEFTOVERS, []), *_open_descriptors(), *_waited_for_threads()]
    if not leftovers:
        return
    config.stash[_LEFTOVERS] = leftovers
    session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
    if hasattr(config, "workeroutput"):  # a process of pytest-xdist, which reports to the first
        config.workeroutput["leftovers"] = leftovers


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a process of pytest-xdist has left behind."""
    leftovers = getattr(node, "workeroutput", {}).get("leftovers", [])
    node.config.stash[_LEFTOVERS] = [*node.config.stash.get(_LEFTOVERS, []), *leftovers]


_LEFTOVERS: Final = pytest.StashKey[list[str]]()


def _open_descriptors() -> list[str]:
    open_descriptors = list(Path("/proc/self/fd").glob("*"))
    if len(open_descriptors) <= MOST_DESCRIPTORS:
        return []
    targets = Counter(re.sub(r"\d+", "N", _target_of(path)) for path in open_descriptors)
    return [f"{count} descriptors of {target}" for target, count in targets.most_common(20)]


def _target_of(descriptor_path: Path) -> str:
    try:
        return str(descriptor_path.readlink())
    except OSError:
        return "nothing"


def _waited_for_threads() -> list[str]:
    gc.collect()  # the threads of a pool that nobody has any more end with it
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(LONGEST_END)
    stacks = sys._current_frames()
    return [
        f"{thread!r}\n" + "".join(traceback.format_stack(stacks[thread.ident]))
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and not thread.daemon and thread.ident in stacks
    ]


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Report what is left over, and end at once where Python would wait for a thread for ever."""
    leftovers = config.stash.get(_LEFTOVERS, [])
    if leftovers and not hasattr(config, "workeroutput"):
        sys.stderr.write("\n".join(["The tests left behind:", *leftovers, ""]))
    if _waited_for_threads():
        sys.stderr.flush()
        os._exit(1)


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A NATS server that all tests share; each takes a site of its own, and never ends it."""
    from nats_server import running_nats

    with running_nats(tmp_path_factory.mktemp("nats")) as server:
        yield server

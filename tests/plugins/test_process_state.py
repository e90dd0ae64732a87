"""What all plugins share is put back when one changes it while it is loaded, with its name."""

from __future__ import annotations

import gc
import importlib
import json
import locale
import os
import resource
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from installed_packages import Packages

from sgevents_core.plugins.loading import Loaded
from sgevents_core.plugins.process_state import ProcessState

CHANGES: dict[str, tuple[str, str, Callable[[], Any]]] = {
    "handler": (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "the handler of SIGTERM",
        lambda: signal.getsignal(signal.SIGTERM),
    ),
    "another_handler": (
        "import signal; signal.signal(signal.SIGCHLD, lambda *_: None)",
        "the handler of SIGCHLD",
        lambda: signal.getsignal(signal.SIGCHLD),
    ),
    "alarm": (
        "import signal; signal.alarm(3600)",
        "a timer that sends a signal",
        lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 1000,
    ),
    "timer": (
        "import signal; signal.setitimer(signal.ITIMER_VIRTUAL, 3600)",
        "ITIMER_VIRTUAL",
        lambda: signal.getitimer(signal.ITIMER_VIRTUAL),
    ),
    "mask": (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])",
        "blocked signals (SIGTERM, SIGUSR1)",
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, []),
    ),
    "folder": ("import os; os.chdir('/')", "the working folder", os.getcwd),
    "umask": ("import os; os.umask(0)", "the umask", lambda: os.umask(os.umask(0o22))),
    "stdout": (
        "import io, sys; sys.stdout = io.StringIO()",
        "sys.stdout",
        lambda: sys.stdout,
    ),
    "stderr": ("import sys; sys.stderr = None", "sys.stderr", lambda: sys.stderr),
    "no_stdin": ("import sys; del sys.stdin", "sys.stdin", lambda: sys.stdin),
    "descriptors": (
        "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (9, r.getrlimit(r.RLIMIT_NOFILE)[1]))",
        "the limit NOFILE",
        lambda: resource.getrlimit(resource.RLIMIT_NOFILE),
    ),
    "processor": (
        "import resource as r; r.setrlimit(r.RLIMIT_CPU, (99999, r.getrlimit(r.RLIMIT_CPU)[1]))",
        "the limit CPU",
        lambda: resource.getrlimit(resource.RLIMIT_CPU),
    ),
    "tongue": (
        "import locale; locale.setlocale(locale.LC_ALL, 'C')",
        "the locale",
        lambda: locale.setlocale(locale.LC_ALL),
    ),
    "timeout": (
        "import socket; socket.setdefaulttimeout(0.001)",
        "the default timeout of sockets",
        socket.getdefaulttimeout,
    ),
    "recursion": (
        "import sys; sys.setrecursionlimit(200)",
        "a lower recursion limit",
        sys.getrecursionlimit,
    ),
    "switching": (
        "import sys; sys.setswitchinterval(1000)",
        "how threads take turns",
        sys.getswitchinterval,
    ),
    "garbage": ("import gc; gc.disable()", "the garbage collection", gc.isenabled),
    "strict_warnings": (
        "import warnings; warnings.simplefilter('error', ImportWarning)",
        "warnings made errors",
        lambda: [one for one in warnings.filters if one[0] == "error"],
    ),
    "path": ("import sys; del sys.path[-1:]", "sys.path", lambda: list(sys.path)),
    "no_path": ("import sys; sys.path.clear()", "sys.path", lambda: list(sys.path)),
    "finders": (
        "import sys; sys.meta_path.clear()",
        "sys.meta_path",
        lambda: list(sys.meta_path),
    ),
    "variables": (
        "import os; os.environ.clear()",
        "os.environ",
        lambda: dict(os.environ),
    ),
    "modules": (
        "import sys, types; sys.modules['json'] = types.ModuleType('json')",
        "sys.modules (json)",
        lambda: importlib.import_module("json") is json,
    ),
    "gone": ("import sys; del sys.modules['json']", "sys.modules (json)", lambda: "json"),
    "built_in": (
        "import builtins; builtins.open = print",
        "builtins (open)",
        lambda: open,
    ),
    "patched": (
        "import threading, time; threading.Thread = object; time.sleep = print",
        "names replaced in threading (Thread)",
        lambda: (threading.Thread, time.sleep),
    ),
}
"""Name of a plugin -> what it does, what is said of that, and how to see that it is put back."""


@pytest.fixture(autouse=True)
def kept() -> Iterator[None]:
    """Leave nothing to other tests, should this one fail."""
    before = ProcessState()
    yield
    before.restore()


def warnings_of(loaded: Loaded, name: str) -> tuple[str, ...]:
    """Return the warnings about a plugin."""
    (status,) = [plugin_status for plugin_status in loaded.statuses if plugin_status.name == name]
    return status.warnings


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_plugin_changes_for_all_is_put_back(packages: Packages, name: str) -> None:
    """The warning says what it was; the plugin is loaded all the same."""
    code, expected_warning, look = CHANGES[name]
    hook = "from sgevents_core import hookimpl\n@hookimpl\ndef on_new(event): ...\n"
    packages.install_module(name, f"{hook}{code}\n")
    before = look()
    loaded = packages.load(name)
    assert look() == before
    shared_warnings = [w for w in warnings_of(loaded, name) if "what all plugins share" in w]
    assert [w for w in shared_warnings if expected_warning in w], shared_warnings
    assert [plugin.name for plugin in loaded.plugins] == [name]


def test_changes_of_a_plugin_that_breaks_are_put_back_as_well(packages: Packages) -> None:
    """Also those of `register_callbacks` and the like."""
    packages.install_module("raises", "import os; os.chdir('/'); 1 / 0")
    packages.install_module(
        "registers",
        "import os\nfrom sgevents_core import hookimpl\n"
        "@hookimpl\ndef register_callbacks(registrar): os.chdir('/')",
    )
    before = Path.cwd()
    loaded = packages.load("raises", "registers")
    assert Path.cwd() == before
    for name in ("raises", "registers"):
        assert "the working folder" in warnings_of(loaded, name)[0]


def test_what_only_adds_is_left(packages: Packages) -> None:
    """A folder on the path, a variable, a module, a hook for errors, a higher limit."""
    packages.install_module(
        "adds",
        """
        import os, sys, types, warnings
        from sgevents_core import hookimpl
        sys.path.append("/studio/added")
        os.environ["STUDIO_ADDED"] = "1"
        sys.modules["studio_added"] = types.ModuleType("studio_added")
        sys.setrecursionlimit(sys.getrecursionlimit() + 1)
        warnings.simplefilter("ignore", ImportWarning)

        @hookimpl
        def on_new(event): ...
        """,
    )
    loaded = packages.load("adds")
    assert warnings_of(loaded, "adds") == ()
    assert "/studio/added" in sys.path
    assert os.environ.pop("STUDIO_ADDED") == "1"
    assert "studio_added" in sys.modules
    sys.path.remove("/studio/added")
    del sys.modules["studio_added"]
    sys.setrecursionlimit(sys.getrecursionlimit() - 1)
    with suppress(ValueError):
        warnings.filters.remove(("ignore", None, ImportWarning, None, 0))  # type: ignore[attr-defined]  # a list

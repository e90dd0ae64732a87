"""The real command `sgevents run` as a process, with plugins that write down what they get."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from installed_packages import Packages
from waiting import PATIENCE, wait_until

from sgevents_core.sandbox import Sandbox

NOTING = 'os.write(_file, line.encode().ljust(63) + b"\\n")'
"""How `WRITER` notes a call."""
WRITER = """
    import os
    from sgevents_core import hookimpl, match

    _file = os.open({calls!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def _note(event, ctx, callback):
        line = f"{{event.id}} {{ctx.plugin}} {{callback}} {{ctx.attempt}}"
        os.write(_file, line.encode().ljust(63) + b"\\n")

    @hookimpl
    def on_event(event, ctx):
        _note(event, ctx, "every")

    @hookimpl(specname="on_event")
    @match(event_type="Shotgun_*_Change")
    def changed(event, ctx):
        _note(event, ctx, "changed")
"""
"""A plugin that notes each call as one line: event, plugin, callback, attempt.

Lines have 64 bytes, so that none crosses a page of memory: a kill cuts a write between two pages.
"""


class Noted(NamedTuple):
    """One call as a plugin noted it."""

    event_id: int
    plugin: str
    callback: str
    attempt: int


class RunningDaemon:
    """A config, installed plugins and the processes that run them.

    Args:
        folder: Where everything lives.
        site: The site that is followed.
    """

    def __init__(self, folder: Path, site: Sandbox) -> None:
        self.folder = folder
        self.site = site
        self.config = folder / "sgevents.toml"
        self.calls = folder / "calls.txt"
        self.output = folder / "output.txt"
        self.packages = Packages(folder / "site-packages")
        self.host = "127.0.0.1"
        self.under: tuple[str, ...] = ()
        self.variables: dict[str, str] = {}
        self._tables = ""
        self._groups = ""
        self.log = ""
        self.site_keys = 'timeout = "2s"\n'
        self.state = 'path = "state"\n'
        self.feed = 'poll_interval = "50ms"\nbacklog_timeout = "1s"\nstart = 1\npage_size = 50\n'

    def install_writer(self, name: str, group: str | None = None) -> None:
        """Install and enable a plugin that notes its calls."""
        self.install(name, WRITER.format(calls=str(self.calls)), group)

    def install(self, name: str, text: str, group: str | None = None, keys: str = "") -> None:
        """Install a plugin from its text, and enable it."""
        self.packages.install_module(name, text)
        self._tables += f"[plugins.{name}]\nenabled = true\n{keys}\n"
        if group is not None:
            self._tables += f'group = "{group}"\n'

    def groups(self, *names: str) -> None:
        """Put groups into the config, in this order."""
        self._groups = "".join(f'[[groups]]\nname = "{name}"\n' for name in names)

    @property
    def url(self) -> str:
        """The site's address, as the config has it."""
        return self.site.url.replace("127.0.0.1", self.host)

    def write_config(self) -> None:
        """Write the config file."""
        site = f'[site]\nurl = "{self.url}"\nscript_name = "{self.site.script_name}"\n'
        site += 'api_key = { env = "SGEVENTS_TEST_KEY" }\n' + self.site_keys
        text = f"{site}[feed]\n{self.feed}[state]\n{self.state}{self._groups}{self._tables}"
        text += self.log
        self.config.write_text(text, encoding="utf-8")

    @contextmanager
    def running(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run the daemon while the block lasts; it is killed at the end if it still runs."""
        self.write_config()
        with self.started(*options) as process:
            yield process

    @contextmanager
    def started(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run the daemon with the configuration that is there, like `running`."""
        command = [*self.under, sys.executable, "-m", "sgevents_core", "run"]
        command += ["-c", str(self.config)]
        with self.output.open("ab") as output:
            process = subprocess.Popen(
                [*command, *options], env=self.environment(), stdout=output, stderr=output
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def environment(self) -> dict[str, str]:
        """Return the variables it runs with; its modules are compiled once for all starts."""
        key = {"SGEVENTS_TEST_KEY": self.site.api_key}
        kept = str(self.folder.parent / "bytecode")
        compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": kept}
        path = {"PYTHONPATH": self._path()}
        return {**os.environ, **key, **compiled, **path, **self.variables}

    def _path(self) -> str:
        return os.pathsep.join([str(self.packages.folder), *filter(None, sys.path)])

    def told(self) -> list[dict[str, Any]]:
        """Return the records of the log written to stderr so far, by all runs."""
        lines = self.output.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def tells(self, action: str) -> bool:
        """Whether a record with an action was written."""
        return any(record["action"] == action for record in self.told())

    def drain(self) -> int:
        """Run until everything is handled; return the exit code."""
        with self.running("--drain") as process:
            return process.wait(PATIENCE)

    def stop(self, process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
        """Stop a daemon with a signal; return its exit code."""
        process.send_signal(number)
        return process.wait(PATIENCE)

    def noted(self) -> list[Noted]:
        """Return the calls noted so far, in order."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        split = [line.split() for line in lines]
        return [Noted(int(id_), plugin, name, int(n)) for id_, plugin, name, n in split]

    def calls_noted(self) -> int:
        """Return how many calls were noted so far."""
        return self.calls.read_bytes().count(b"\n") if self.calls.exists() else 0

    def events_of(self, plugin: str) -> list[int]:
        """Return the events that a plugin's `every` got, in order."""
        return [n.event_id for n in self.noted() if (n.plugin, n.callback) == (plugin, "every")]

    def wait_for(self, ids: Sequence[int], plugin: str, seconds: float = 30.0) -> None:
        """Wait until a plugin got all these events."""
        wanted = set(ids)
        wait_until(lambda: wanted <= set(self.events_of(plugin)), seconds, what=f"{plugin} has all")

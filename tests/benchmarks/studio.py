"""A studio to measure: ten plugins with filters as people write them, and the daemon's command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from installed_packages import Packages

MATCHING: Final = 1.3
"""Callbacks that are called for an event, on average over the kinds of events."""

_COUNTED: Final = """
    calls = 0

    def counted(event):
        global calls
        calls += 1
        return event.entity_id
"""
_HEAD: Final = """
    from sgevents_core import hookimpl, match
    from bench_counts import counted
"""
_PLUGINS: Final = {
    "asset_status": """
        @hookimpl
        @match(entity_type="Asset", attribute="sg_status_list")
        def on_change(event, ctx):
            counted(event)
    """,
    "dates": """
        @hookimpl
        @match(entity_type="Task", attribute=["start_date", "due_date", "duration"])
        def on_change(event, ctx):
            counted(event)
    """,
    "long_way_home": """
        @hookimpl
        @match(project=65)
        def on_event(event, ctx):
            counted(event)
    """,
    "movies": """
        @hookimpl
        @match(event_type="Shotgun_Version_New")
        def on_new(event, ctx):
            counted(event)

        @hookimpl
        @match(entity_type="Version", attribute="sg_uploaded_movie*")
        def on_change(event, ctx):
            counted(event)
    """,
    "note_mailer": """
        @hookimpl
        @match(entity_type=["Note", "Reply"])
        def on_new(event, ctx):
            counted(event)
    """,
    "publishes": """
        def published(event, ctx):
            counted(event)

        @hookimpl
        def register_callbacks(registrar):
            registrar.register(published, event_type="Shotgun_PublishedFile_*")
    """,
    "review": """
        @hookimpl
        @match(entity_type="Version", attribute="sg_status_list", new_value="rev")
        def on_change(event, ctx):
            counted(event)
    """,
    "rollup": """
        @hookimpl
        @match(entity_type="Task", attribute="sg_status_list")
        def on_change(event, ctx):
            counted(event)
    """,
    "shots": """
        @hookimpl
        @match(event_type="Shotgun_Shot_*", attribute=["sg_cut_in", "sg_cut_out", "sg_status_list"])
        def on_change(event, ctx):
            counted(event)
    """,
    "task_starts": """
        @hookimpl
        @match(entity_type="Task", attribute="sg_status_list", new_value=["ip", "fin"])
        def on_change(event, ctx):
            counted(event)
    """,
}
"""The plugins by name, which is also their order."""
_UNWILLING: Final = """
    @hookimpl
    @match(entity_type="Task", attribute="sg_never_set")
    def on_change(event, ctx):
        counted(event)

    @hookimpl(specname="on_change")
    @match(event_type="Shotgun_Sequence_*")
    def sequence_changed(event, ctx):
        counted(event)
"""
"""A plugin whose filters no event passes, one of them only by its field."""
_CLOCK: Final = """
    import json, os, re, time
    from pathlib import Path
    import bench_counts
    from sgevents_core import hookimpl

    begin = None

    def spent_by_children():
        # What those have computed that run now.
        pids = [pid for one in Path("/proc/self/task").glob("*/children")
                for pid in one.read_text().split()]
        stats = [Path(f"/proc/{{pid}}/stat").read_text().rpartition(")")[2].split() for pid in pids]
        ticks = sum(int(stat[11]) + int(stat[12]) for stat in stats)
        return ticks / os.sysconf("SC_CLK_TCK")

    @hookimpl
    def startup(ctx):
        global begin
        begin = time.process_time(), time.perf_counter(), spent_by_children()

    @hookimpl
    def shutdown(ctx):
        processor, clock = time.process_time() - begin[0], time.perf_counter() - begin[1]
        times = os.times()  # also of children that have ended, from their start on
        children = times.children_user + times.children_system - begin[2]
        # Not by getrusage: that starts with what the parent had.
        status = Path("/proc/self/status").read_text()
        memory = int(re.search(r"VmHWM:\\s*(\\d+) kB", status)[1]) / 1024
        found = {{"processor": processor + children, "daemon": processor, "clock": clock,
                 "memory": memory, "calls": bench_counts.calls}}
        Path({file!r}).write_text(json.dumps(found))
"""
"""Starts after all others and stops after them: it takes the time of what lies between."""


class Studio:
    """A configuration, installed plugins and the commands that run them.

    Args:
        folder: Where everything lives; it is made.
        url: The site's address.
    """

    def __init__(self, folder: Path, url: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.config = folder / "sgevents.toml"
        self.packages = Packages(folder / "site-packages")
        self.feed = "start = 1\n"
        self.state = 'path = "state"\n'
        self.tables = self.groups = ""
        self._url = url
        self._times = folder / "times.json"

    def install_ten_plugins(self) -> None:
        """Install and enable the ten plugins, and the clock that comes after them."""
        self._install_timed({f"bench_{name}.py": text for name, text in _PLUGINS.items()})

    def install_unwilling_plugins(self) -> None:
        """Install ten plugins that want none of the events, and the clock."""
        self._install_timed({f"bench_unwilling{number}.py": _UNWILLING for number in range(10)})

    def _install_timed(self, texts: dict[str, str]) -> None:
        modules = {file: _module(text) for file, text in texts.items()}
        modules["bench_counts.py"] = _COUNTED
        self.install(modules)
        self.install({"bench_zclock.py": _CLOCK.format(file=str(self._times))})

    def install(self, modules: dict[str, str], *, lane: str = "") -> None:
        """Install a distribution and enable its plugins, which are modules of the same names.

        Args:
            modules: Files and their texts.
            lane: The lane of the plugins; empty for the one that all share.
        """
        module_names = [file.removesuffix(".py") for file in modules if file != "bench_counts.py"]
        self.packages.install(
            f"dist-{module_names[0]}", {name: name for name in module_names}, modules
        )
        group_line = f'group = "{lane}"\n' if lane else ""
        self.tables += "".join(
            f"[plugins.{name}]\nenabled = true\n{group_line}" for name in module_names
        )
        if lane:
            self.groups += f'[[groups]]\nname = "{lane}"\nlane = "{lane}"\n'

    def run_drained(self) -> dict[str, float]:
        """Let the daemon handle all there is, from an empty state; return what the clock took."""
        self.remove_state()
        with self.running("--drain", "--strict") as process:
            code = process.wait()
        assert code == 0, self.output
        clock_readings: dict[str, float] = json.loads(self._times.read_text())
        return clock_readings

    def remove_state(self) -> None:
        """Remove the state."""
        shutil.rmtree(self.folder / "state", ignore_errors=True)

    @property
    def output(self) -> str:
        """What the daemon has written."""
        return (self.folder / "output.txt").read_text()

    def time_command(self, *words: str) -> dict[str, float]:
        """Return how long a command takes, with the studio's configuration if it reads one."""
        given = () if words[0].startswith("-") else ("-c", str(self.config))
        begin = time.perf_counter()
        process = self.command(*words, *given)
        process.wait()
        return {"clock": time.perf_counter() - begin, "code": process.returncode}

    @contextmanager
    def running(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run the daemon while the block lasts; it is killed at the end if it still runs."""
        self.write_config()
        with (self.folder / "output.txt").open("wb") as output:
            process = self.command("run", "-c", str(self.config), *options, output=output.fileno())
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()

    def write_config(self) -> None:
        """Write the configuration."""
        site = f'[site]\nurl = "{self._url}"\nscript_name = "bench"\n'
        text = f'{site}api_key = {{ env = "SGEVENTS_BENCH_KEY" }}\n[feed]\n{self.feed}'
        self.config.write_text(
            f"{text}[state]\n{self.state}{self.groups}{self.tables}", encoding="utf-8"
        )

    def command(self, *words: str, output: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start a command of sgevents."""
        return subprocess.Popen(
            [sys.executable, "-m", "sgevents_core", *words],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.packages.folder), *filter(None, sys.path)])
        bytecode_variables = {
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": _bytecode().name,
        }
        return {
            **os.environ,
            **bytecode_variables,
            "SGEVENTS_BENCH_KEY": "bench",
            "PYTHONPATH": path,
        }


@cache
def _bytecode() -> tempfile.TemporaryDirectory[str]:
    """Return where modules are compiled to, once for all runs of this process."""
    return tempfile.TemporaryDirectory()


def _module(text: str) -> str:
    return textwrap.dedent(_HEAD) + textwrap.dedent(text)

"""A daemon that meets every kind of fault, while a real Prometheus scrapes it."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any, Final

from prometheus import Prometheus, promtool, scraping
from reloading import reload
from running_daemon import RunningDaemon
from waiting import PATIENCE, wait_until

from sgevents_core.sandbox import Sandbox

IN_THREAD: Final = """
    import time
    from sgevents_core import Defer, Retry, hookimpl, match

    @hookimpl
    @match(event_type="Studio_Fail*")
    def on_other(event, ctx):
        kind = type(f"Error{event.id}\\n{{le=7}}", (Exception,), {})
        raise kind(f"{event.event_type} \\x1b[31m {event.id}" * 100)

    @hookimpl(specname="on_other")
    @match(event_type="Studio_Defer")
    def defer(event, ctx):
        raise Defer(after="1h")

    @hookimpl(specname="on_other")
    @match(event_type="Studio_Retry")
    def retry(event, ctx):
        raise Retry(after="50ms")

    @hookimpl(specname="on_other")
    @match(event_type="Studio_Batch", batch="100ms", by="project")
    def roll(events, ctx):
        ctx.store[f"roll {events[0].id}"] = len(events)

    @hookimpl
    def on_event(event, ctx):
        ctx.store["newest"] = event.id
"""
IN_PROCESS: Final = """
    import os, time
    from sgevents_core import hookimpl, match

    @hookimpl
    def on_event(event, ctx):
        if event.event_type == "Studio_Exit" and ctx.attempt == 1:
            os._exit(3)
        if event.event_type == "Studio_Hang":
            time.sleep(3600)
"""
TABLES: Final = """
[[groups]]
name = "apart"
lane = "aside"
[lanes.aside]
executor = "process"
workers = 2
order_by = "none"
timeout = "300ms"
"""
QUICK_FAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "latency": {"seconds": 0.1},
    "outage": {"seconds": 0.5},
    "hide": {"rows": 3, "seconds": 0.3},
    "commit-late": {"seconds": 0.3},
    "burn": {"ids": 50},
    "lagging-replica": {"rows": 5},
}
"""Options of faults that would otherwise last."""
STUDIO_TYPES: Final = (
    "Studio_Fail",
    'Studio_Fail_\u202e{le="1"}\n',
    "Studio_Defer",
    "Studio_Retry",
    "Studio_Batch",
    "Studio_Exit",
    "Studio_Hang",
)
_SERIES: Final = re.compile(r"^(\w+)(?:\{(.*)\})? \S+$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
MOST_VALUES: Final = 24
"""The most values that a label has, whatever happens."""


class MonitoredFaults:
    """The daemon, its site, and what its figures have had in them.

    Args:
        folder: Where everything lives.
        seed: The seed of the faults' order and numbers.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.site = Sandbox(seed=seed)
        self.daemon = RunningDaemon(folder, self.site)
        self.starts = 0
        self.label_values: dict[str, set[str]] = defaultdict(set)
        self._chance = random.Random(seed)
        self._run = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._port = _free_port()
        self._install()

    @property
    def address(self) -> str:
        """Where the figures are."""
        return f"127.0.0.1:{self._port}"

    def _install(self) -> None:
        daemon = self.daemon
        daemon.site_keys = 'timeout = "1s"\n'
        daemon.feed = 'poll_interval = "50ms"\nbacklog_timeout = "1s"\nstart = 1\n'
        daemon.install("fails", IN_THREAD, keys="max_attempts = 2\npause_after = 1000")
        daemon.install("ends", IN_PROCESS, "apart", keys="max_attempts = 1\npause_after = 1000")
        daemon.install("broken", "raise RuntimeError('it does not load')")
        daemon.log = f'{TABLES}[metrics]\nlisten = "{self.address}"\n'

    def start(self) -> None:
        """Start the daemon, and wait until it gives its figures."""
        self.starts += 1
        self._process = self._run.enter_context(self.daemon.running())
        wait_until(self.has_figures, what="the figures are there")

    def close(self) -> None:
        """End daemon and site."""
        self._run.close()
        self.site.close()

    def has_figures(self) -> bool:
        """Return whether the daemon answers."""
        try:
            return "sgevents_build_info" in self.figures()
        except OSError:
            return False

    def figures(self) -> str:
        """Return the figures as they are."""
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    def acts(self) -> list[Callable[[], object]]:
        """Return one act for each kind of fault, in a random order; the log is rewound by none."""
        kinds = [kind for kind in self.site.faults.kinds() if kind != "rewind"]
        acts: list[Callable[[], object]] = [partial(self._fault, kind) for kind in kinds]
        acts += [partial(self._studio_events, event_type) for event_type in STUDIO_TYPES]
        acts += [self._late_rows, self._kill, partial(reload, self.daemon)]
        self._chance.shuffle(acts)
        return acts

    def _fault(self, kind: str) -> None:
        self.site.faults.add(kind, calls=2, **QUICK_FAULTS.get(kind, {}))
        self.site.step()
        self.site.step()

    def _studio_events(self, event_type: str) -> None:
        for _ in range(self._chance.randint(1, 5)):
            self.site.event(event_type, project={"type": "Project", "id": 1})

    def _late_rows(self) -> None:
        late = self.site.late(2)
        self.site.burn(self._chance.randint(1, 500))
        self.site.step()
        late.commit()

    def _kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(PATIENCE)
        self._run.close()
        self.start()

    def check_figures(self) -> None:
        """Let promtool read the figures, and note the values of their labels."""
        wait_until(self.has_figures, what="the figures are there")
        text = self.figures()
        promtool("check", "metrics", given=text)
        for labels in _SERIES.findall(text):
            for name, value in _LABEL.findall(labels[1]):
                self.label_values[name].add(value)
        grown = {name for name, values in self.label_values.items() if len(values) > MOST_VALUES}
        assert not grown, {name: sorted(self.label_values[name])[:50] for name in grown}


@contextmanager
def monitored_faults(folder: Path, seed: int) -> Iterator[tuple[MonitoredFaults, Prometheus]]:
    """Run a daemon and a Prometheus that scrapes it while the block lasts."""
    scene = MonitoredFaults(folder, seed)
    try:
        scene.start()
        with scraping(scene.address, folder) as prometheus:
            yield scene, prometheus
    finally:
        scene.close()


def check_scrapes(scene: MonitoredFaults, prometheus: Prometheus) -> None:
    """Check that Prometheus has taken every figure that it was given.

    It would report series that come twice, texts it cannot parse, and times that go back; and no
    counter falls but by a start of the daemon.
    """
    assert prometheus.query("up == 0") == []
    assert prometheus.warnings() == []
    most_resets = scene.starts - 1 + _reloads(scene)
    for counter in re.findall(r"^# TYPE (sgevents_\w+) counter$", scene.figures(), re.MULTILINE):
        resets = prometheus.query(f"max(resets({counter}[1h]))")
        assert not resets or resets[0][1] <= most_resets, counter


def _reloads(scene: MonitoredFaults) -> int:
    """Return how often a reload replaced the process."""
    return sum(record["action"] == "daemon.reloading" for record in scene.daemon.told())


def _free_port() -> int:
    with socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])

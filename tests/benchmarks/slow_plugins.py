"""Benchmark 5: plugins that take their time, in one lane, in lanes of their own, with workers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from lean_site import lean_site
from measuring import Figure, Scale, figure
from studio import Studio
from waiting import wait_until
from workers import workers as gain_of_workers

_RATE: Final = 5
"""Events a second."""
_WORKERS: Final = 8
_SLOW: Final = """
    import os, time
    from sgevents_core import hookimpl

    file = os.open({file!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @hookimpl
    def on_event(event, ctx):
        shown = event.session_uuid
        lag = time.time() - float(shown) if "." in shown else 0.0
        os.write(file, b"%f\\n" % lag)
        time.sleep(0.05)
"""


def slow_plugins(scale: Scale) -> list[Figure]:
    """Benchmark 5: how far behind the last of many slow plugins is, and what workers gain."""
    rows, plugins = max(3, round(_RATE * scale.seconds / 2)), scale.slow_plugins
    name = f"{plugins} plugins of 50 ms, {rows} events at {_RATE}/s, the last is behind"
    lags = {
        "one lane": lag_of_last(plugins, rows),
        f"one lane of {_WORKERS} workers": lag_of_last(plugins, rows, workers=_WORKERS),
        f"{plugins} lanes": lag_of_last(plugins, rows, lanes=True),
    }
    lag_figures = [figure(5, f"{name}, {lanes}", (lag,), "s") for lanes, lag in lags.items()]
    return [*lag_figures, *gain_of_workers(scale)]


def lag_of_last(plugins: int, rows: int, *, lanes: bool = False, workers: int = 1) -> float:
    """Return how long after it was visible a row comes to a plugin at most, in seconds.

    Args:
        plugins: How many plugins there are.
        rows: How many rows come.
        lanes: Whether each plugin has a lane of its own.
        workers: How many workers the one lane has otherwise.
    """
    with tempfile.TemporaryDirectory() as name, lean_site(1) as site:
        studio = Studio(Path(name) / "studio", site.url)
        studio.feed += 'poll_interval = "100ms"\n'
        if workers > 1:
            studio.groups += f'[lanes.default]\nworkers = {workers}\norder_by = "entity"\n'
        files = [studio.folder / f"lags{number:02}" for number in range(plugins)]
        for number, file in enumerate(files):
            lane = f"lane{number}" if lanes else ""
            studio.install({f"bench_slow{number:02}.py": _SLOW.format(file=str(file))}, lane=lane)

        def heard(events: int) -> bool:
            return all(file.exists() and file.read_bytes().count(b"\n") >= events for file in files)

        with studio.running():
            wait_until(lambda: heard(1))
            site.grow(rows, _RATE)
            wait_until(lambda: heard(rows + 1))
        return max(float(line) for file in files for line in file.read_text().splitlines())

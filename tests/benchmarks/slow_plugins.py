"""Benchmark 5: plugins that take their time, in one lane, in lanes of their own, with workers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from lean_site import running_lean_site
from measuring import Figure, Scale, median_figure
from studio import Studio
from waiting import wait_until
from workers import measure_workers

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


def measure_slow_plugins(run_scale: Scale) -> list[Figure]:
    """Benchmark 5: how far behind the last of many slow plugins is, and what workers gain."""
    rows = max(3, round(_RATE * run_scale.watched_seconds / 2))
    plugins = run_scale.slow_plugin_count
    name = f"{plugins} plugins of 50 ms, {rows} events at {_RATE}/s, the last is behind"
    largest_lags = {
        "one lane": measure_largest_lag(plugins, rows),
        f"one lane of {_WORKERS} workers": measure_largest_lag(plugins, rows, workers=_WORKERS),
        f"{plugins} lanes": measure_largest_lag(plugins, rows, lanes=True),
    }
    lag_figures = [
        median_figure(5, f"{name}, {lanes}", (lag,), "s") for lanes, lag in largest_lags.items()
    ]
    return [*lag_figures, *measure_workers(run_scale)]


def measure_largest_lag(plugins: int, rows: int, *, lanes: bool = False, workers: int = 1) -> float:
    """Return how long after it was visible a row comes to a plugin at most, in seconds.

    Args:
        plugins: How many plugins there are.
        rows: How many rows come.
        lanes: Whether each plugin has a lane of its own.
        workers: How many workers the one lane has otherwise.
    """
    with tempfile.TemporaryDirectory() as name, running_lean_site(1) as site:
        studio = Studio(Path(name) / "studio", site.url)
        studio.feed += 'poll_interval = "100ms"\n'
        if workers > 1:
            studio.groups += f'[lanes.default]\nworkers = {workers}\norder_by = "entity"\n'
        lag_files = [studio.folder / f"lags{number:02}" for number in range(plugins)]
        for number, lag_file in enumerate(lag_files):
            lane = f"lane{number}" if lanes else ""
            studio.install(
                {f"bench_slow{number:02}.py": _SLOW.format(file=str(lag_file))}, lane=lane
            )

        def is_handled(events: int) -> bool:
            return all(
                lag_file.exists() and lag_file.read_bytes().count(b"\n") >= events
                for lag_file in lag_files
            )

        with studio.running():
            wait_until(lambda: is_handled(1))
            site.add_rows(rows, _RATE)
            wait_until(lambda: is_handled(rows + 1))
        return max(
            float(line) for lag_file in lag_files for line in lag_file.read_text().splitlines()
        )

"""Lets a daemon meet faults for minutes while Prometheus scrapes it: a part of `nox -s soak`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from monitored_faults import MonitoredFaults, check_scrapes, monitored_faults


def _meet_faults(scene: MonitoredFaults, seconds: float) -> int:
    """Let the daemon meet all faults again and again; return how many it has met."""
    until, met_faults = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        for act in scene.acts():
            act()
            scene.check_figures()
            met_faults += 1
            if time.monotonic() > until:
                break
    return met_faults


def main(arguments: list[str]) -> int:
    """Meet faults for the time that the arguments say.

    Args:
        arguments: As on the command line.
    """
    parser = argparse.ArgumentParser(prog="soak_figures", description=__doc__)
    parser.add_argument("--seconds", type=float, default=150.0, help="for how long (150)")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the faults")
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as folder,
        monitored_faults(Path(folder), options.seed) as (scene, prometheus),
    ):
        met_faults = _meet_faults(scene, options.seconds)
        check_scrapes(scene, prometheus)
        label_values = {name: len(values) for name, values in scene.label_values.items()}
    print(f"{met_faults} faults, {scene.starts} starts; values of labels: {label_values}")  # noqa: T201 - its output
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

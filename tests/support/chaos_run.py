"""Let three hosts run in chaos, for some minutes: `nox -s chaos -- --minutes N`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from chaos import COUNTING, LANES, Tally, run_chaos
from host_processes import studio_of_hosts
from nats_server import NatsServer

CALM_EVERY = 60.0
"""Seconds after which everything calms down and is judged."""
HOSTS = ("alpha", "beta", "gamma")


def run_once(folder: Path, seed: int, seconds: float) -> Tally:
    """Run it once, with a server and hosts of its own."""
    server = NatsServer(folder / "nats")
    server.start()
    try:
        with studio_of_hosts(folder, server.url, HOSTS, LANES, COUNTING) as studio:
            return run_chaos(studio, server, seed=seed, seconds=seconds)
    finally:
        server.kill()


def main() -> int:
    """Run it for the minutes asked for, one seed after another; return 1 at the first fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="for how long things happen")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    options = parser.parse_args()
    left_seconds, seed = options.minutes * 60.0, options.seed
    while left_seconds > 0:
        began_at = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
            tally = run_once(Path(folder), seed, min(left_seconds, CALM_EVERY))
        lines = [f"seed {seed}, {time.monotonic() - began_at:.0f} s: {tally}", *tally.wrong]
        print("\n".join(lines), flush=True)  # noqa: T201 - a chore
        if tally.wrong:
            return 1
        left_seconds, seed = left_seconds - CALM_EVERY, seed + 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Let three hosts run in chaos, for some minutes: `nox -s chaos -- --minutes N`."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from chaos import Tally, Weather, run_chaos
from chaos_network import SITE, NamespaceNetwork, Network, RelayNetwork, server_names
from chaos_studio import HOSTS, chaos_studio
from namespaces import Namespaces, missing_rights, namespaces

CALM_EVERY = 120.0
"""Seconds after which everything calms down and is judged, unless it is said."""
_CLUSTER = 3


def run_once(
    folder: Path,
    seed: int,
    seconds: float,
    *,
    weather: Weather,
    server_count: int = 1,
    machines: Namespaces | None = None,
) -> Tally:
    """Run it once, with servers and hosts of its own.

    Args:
        folder: Where everything lives.
        seed: What determines it.
        seconds: For how long things happen.
        weather: How bad it is.
        server_count: How many servers there are, 1 or 3.
        machines: Namespaces for all of them; None for relays on this machine.
    """
    with ExitStack() as opened:
        network: Network
        if machines is None:
            network = opened.enter_context(closing(RelayNetwork(folder, HOSTS, server_count)))
        else:
            network = opened.enter_context(
                closing(NamespaceNetwork(folder, machines, HOSTS, server_count))
            )
        studio = opened.enter_context(chaos_studio(folder, network, f"{weather.lease}s", seed))
        return run_chaos(studio, seed=seed, seconds=seconds, weather=weather)


def main(arguments: Sequence[str]) -> int:
    """Run it for the minutes asked for, one seed after another; return 1 at the first fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="for how long things happen")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument(
        "--servers", type=int, choices=(1, 3), help="how many NATS servers; both in turn if not set"
    )
    parser.add_argument("--lease", type=float, default=5.0, help="how long a lease lasts")
    parser.add_argument(
        "--calm-every", type=float, default=CALM_EVERY, help="after how many seconds to judge"
    )
    parser.add_argument(
        "--namespaces", action="store_true", help="each machine in a network namespace of its own"
    )
    parser.add_argument("--keep", type=Path, help="a folder to keep everything in")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.namespaces and not options.inside:
        return _run_in_namespaces(arguments)
    machines = Namespaces(options.inside, _machines()) if options.inside else None
    left_seconds, seed = options.minutes * 60.0, options.seed
    while left_seconds > 0:
        seconds = min(left_seconds, options.calm_every)
        server_count = options.servers or (_CLUSTER if seed % 2 else 1)
        if not _report_run(options, seed, seconds, server_count, machines):
            return 1
        left_seconds, seed = left_seconds - seconds, seed + 1
    return 0


def _report_run(
    options: argparse.Namespace,
    seed: int,
    seconds: float,
    server_count: int,
    machines: Namespaces | None,
) -> bool:
    """Run it once, print what happened, and return whether all is right."""
    began_at = time.monotonic()
    with ExitStack() as opened:
        folder = options.keep
        if folder is None:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        folder = folder / f"seed{seed}"
        folder.mkdir(parents=True)
        tally = run_once(
            folder,
            seed,
            seconds,
            weather=Weather(lease=options.lease),
            server_count=server_count,
            machines=machines,
        )
    lasted = time.monotonic() - began_at
    header = f"seed {seed}, {server_count} servers, {seconds:.0f} s of chaos in {lasted:.0f} s:"
    print("\n".join([header, str(tally), *tally.wrong]), flush=True)  # noqa: T201 - a chore
    return not tally.wrong


def _machines() -> list[str]:
    return [*HOSTS, *server_names(_CLUSTER), SITE]


def _run_in_namespaces(arguments: Sequence[str]) -> int:
    """Make the machines, and run this program on that of the site."""
    missing = missing_rights()
    if missing:
        print(f"There are no network namespaces: {missing}.", file=sys.stderr)  # noqa: T201
        return 2
    with namespaces(_machines()) as machines:
        command = [*machines.command_in(SITE), sys.executable, __file__, *arguments]
        run = subprocess.Popen([*command, "--inside", machines.prefix])
        try:
            return run.wait()
        finally:
            run.terminate()  # it ends what it has started
            run.wait()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.exit(main(sys.argv[1:]))

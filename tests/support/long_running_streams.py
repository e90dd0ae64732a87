"""A state on a NATS server that takes many events and keeps few: what it takes up meanwhile.

`python tests/support/long_running_streams.py 100000` prints it for so many events.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from journal_rows import AT, event_row, grow
from nats_server import new_site_url, running_nats
from nats_sites import NatsSite, connected
from nats_states import nats_state

from sgevents_core.state.nats.cluster_overview import read_streams
from sgevents_core.state.nats.nats_state import NatsState, NatsWriter
from sgevents_core.state.nats.snapshot_keeping import SnapshotKeeping
from sgevents_core.state.nats.streams import definitions
from sgevents_core.state.progress import Progress
from sgevents_core.state.steps import Step

KEPT_EVENTS: Final = 2_000
"""How many events are within the retention."""
PAGE: Final = 250
CLEANED_EVERY: Final = 1_000
"""Events between two times at which old ones are removed and a snapshot may be made."""
LANE: Final = "main"


class Footprint(NamedTuple):
    """What a state takes up after some events.

    Args:
        events: How many events it has taken.
        stream_bytes: The bytes of all streams on the server.
        copy_bytes: The bytes of the host's copy.
        memory: The bytes of memory that this process has.
    """

    events: int
    stream_bytes: int
    copy_bytes: int
    memory: int


def run_long(folder: Path, port: int, event_count: int) -> Iterator[Footprint]:
    """Take many events with a lane that handles them, and yield the footprint at each cleaning."""
    site_url = new_site_url()
    with (
        nats_state(port, folder, [LANE], site_url=site_url) as state,
        closing(state.writer()) as writer,
    ):
        fence = writer.take_lane(LANE)
        keeping = SnapshotKeeping(state.session().copy, state.session().logs, lambda: True)
        try:
            for end in range(PAGE, event_count + 1, PAGE):
                _take_page(writer, fence, end)
                if end % CLEANED_EVERY == 0:
                    _clean(writer, keeping, end)
                    yield _measure(state, port, site_url, end)
        finally:
            keeping.stop()


def _take_page(writer: NatsWriter, fence: int, end: int) -> None:
    filler = random.Random(end)
    rows = [
        event_row(number, at=AT + number, meta={"text": f"{filler.getrandbits(2000):x}"})
        for number in range(end - PAGE + 1, end + 1)
    ]
    grow(writer, rows)
    for seq in range(end - PAGE + 1, end + 1, 10):
        step = Step(progress=Progress(seq), store={"notify": {"n": seq, "text": "x" * 100}})
        writer.record(LANE, fence, step)


def _clean(writer: NatsWriter, keeping: SnapshotKeeping, end: int) -> None:
    writer.end()  # once the copy has all that was written
    while writer.prune(AT + end - KEPT_EVENTS, end - KEPT_EVENTS + 1):
        pass
    writer.end()
    keeping.look()


def _measure(state: NatsState, port: int, site_url: str, events: int) -> Footprint:
    with connected(port) as broker:
        names = NatsSite(broker, site_url).names
        wanted = definitions(names, site_url, [LANE], replicas=1, lease=5.0)
        stream_bytes = sum(one.size for one in read_streams(broker, names, wanted))
    copy_bytes = sum(path.stat().st_size for path in (state.folder / "copy").iterdir())
    status = Path("/proc/self/status").read_text()
    memory = int(status.partition("VmRSS:")[2].split()[0]) * 1024
    return Footprint(events, stream_bytes, copy_bytes, memory)


def main(event_count: int) -> None:
    """Print the footprint ten times on the way."""
    with tempfile.TemporaryDirectory() as folder, running_nats(Path(folder) / "nats") as server:
        sys.stdout.write("events  streams MB  copy MB  memory MB\n")
        for one in run_long(Path(folder) / "state", server.port, event_count):
            if one.events % max(event_count // 10, CLEANED_EVERY) == 0:
                sizes = (one.stream_bytes / 1e6, one.copy_bytes / 1e6, one.memory / 1e6)
                sys.stdout.write(
                    f"{one.events:6} {sizes[0]:11.1f} {sizes[1]:8.1f} {sizes[2]:10.0f}\n"
                )
                sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))

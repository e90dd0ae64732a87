"""Snapshots in the object store, the pointer to the newest, and numbers that are given once."""

from __future__ import annotations

import io
import random
import threading

import pytest
from nats_sites import NatsSite

from sgevents_core.errors import BrokerError, StreamMissing
from sgevents_core.state.nats.counter import Counter
from sgevents_core.state.nats.jetstream import call, stream_info
from sgevents_core.state.nats.snapshots import Pointer, SnapshotStore


@pytest.fixture
def store(site: NatsSite) -> SnapshotStore:
    """The shared files of a site."""
    return SnapshotStore(site.broker, site.names.bucket)


def read_file(store: SnapshotStore, name: str) -> bytes | None:
    """What is stored under a name."""
    target = io.BytesIO()
    return target.getvalue() if store.get(name, target) else None


@pytest.mark.parametrize("size", [0, 1, 128 * 1024, 128 * 1024 + 1, 6_000_000])
def test_a_file_comes_back_as_it_was(store: SnapshotStore, size: int) -> None:
    """Of any size, empty too."""
    data = random.Random(size).randbytes(size)
    assert store.put("snapshot-1.gz", io.BytesIO(data)) == size
    assert read_file(store, "snapshot-1.gz") == data
    assert store.names() == ["snapshot-1.gz"]


def test_a_file_is_replaced_as_a_whole_and_deleted(site: NatsSite, store: SnapshotStore) -> None:
    """Nothing of it stays in the store."""
    store.put("a name/with ümlauts", io.BytesIO(bytes(500_000)))
    store.put("a name/with ümlauts", io.BytesIO(b"new"))
    store.put("other", io.BytesIO(b"other"))
    assert read_file(store, "a name/with ümlauts") == b"new"
    store.delete("a name/with ümlauts")
    store.delete("a name/with ümlauts")
    store.delete("never there")
    assert read_file(store, "a name/with ümlauts") is None
    assert store.names() == ["other"]
    assert stream_info(site.broker, f"OBJ_{site.names.bucket}")["state"]["bytes"] < 2000


def test_a_file_that_is_not_whole_is_refused(site: NatsSite, store: SnapshotStore) -> None:
    """Rather than used for a copy of the state."""
    store.put("snapshot", io.BytesIO(bytes(300_000)))
    call(site.broker, "STREAM.MSG.DELETE", {"seq": 2}, stream=f"OBJ_{site.names.bucket}")
    with pytest.raises(BrokerError, match="snapshot is damaged"):
        read_file(store, "snapshot")


def test_the_pointer_is_moved_by_one(store: SnapshotStore) -> None:
    """Who has not seen the newest revision moves nothing."""
    assert store.read_pointer("snapshot") is None
    revision = store.move_pointer("snapshot", b"first", 0)
    assert revision is not None
    assert store.move_pointer("snapshot", b"late", 0) is None
    second = store.move_pointer("snapshot", b"second", revision)
    assert store.move_pointer("snapshot", b"late", revision) is None
    assert second is not None
    assert store.read_pointer("snapshot") == Pointer(b"second", second)


def test_numbers_are_given_once(site: NatsSite) -> None:
    """Whoever asks at the same time; and nothing of them is kept but the last."""
    counter = Counter(site.broker, site.names.numbers, site.names.number_subject)
    given: list[int] = []
    threads = [
        threading.Thread(target=lambda: given.extend(counter.next_numbers(20))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == list(range(1, 81))
    assert stream_info(site.broker, site.names.numbers)["state"]["messages"] == 1


def test_counter_that_was_deleted_gives_no_number_twice(site: NatsSite) -> None:
    """Without it, there is none; made anew, it begins behind what is known."""
    counter = Counter(site.broker, site.names.numbers, site.names.number_subject)
    assert [counter.number_above(known) for known in (0, 1, 2)] == [1, 2, 3]
    call(site.broker, "STREAM.DELETE", stream=site.names.numbers)
    with pytest.raises(StreamMissing, match="sgevents cluster init"):
        counter.next_numbers()
    site.make_streams()
    first = counter.number_above(3)
    assert first > 3
    assert counter.number_above(first) == first + 1

"""The entrance of a worker process: its descriptors and signals are put in order, then it works."""

from __future__ import annotations

import faulthandler
import mmap
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final

from sgevents_core.children.channel import Channel, ChannelClosed
from sgevents_core.children.child_process import ChildProcess
from sgevents_core.children.death_signal import end_forks_with_this_process
from sgevents_core.children.launching import STACK_SIGNAL
from sgevents_core.crashes.evidence import EvidenceRecorder
from sgevents_core.observe.printed_output import unbuffered_stream

_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> None:
    """Run a worker process; its descriptors are in the command line, before the daemon's pid."""
    connection_descriptor, evidence_descriptor, page_descriptor, lock_descriptor = map(
        int, sys.argv[-5:-1]
    )
    for descriptor in (
        connection_descriptor,
        evidence_descriptor,
        page_descriptor,
        lock_descriptor,
    ):
        os.set_inheritable(descriptor, False)
    _release_in_forks(lock_descriptor)
    end_forks_with_this_process()
    for (
        signal_number
    ) in _STOP_SIGNALS:  # the daemon ends this process, once the running call has returned
        signal.signal(signal_number, _ignore_signal)
    for stream_name, descriptor in (
        ("stdout", 1),
        ("stderr", 2),
        ("__stdout__", 1),
        ("__stderr__", 2),
    ):
        setattr(sys, stream_name, unbuffered_stream(descriptor))
    evidence_recorder = EvidenceRecorder(Path(os.devnull))
    faulthandler.register(STACK_SIGNAL, evidence_descriptor, all_threads=False)
    evidence_recorder.start_recording(os.fdopen(evidence_descriptor, "ab", buffering=0))
    with suppress(ChannelClosed):
        channel = Channel(socket.socket(fileno=connection_descriptor))
        ChildProcess(channel, evidence_recorder, mmap.mmap(page_descriptor, mmap.PAGESIZE)).run()


def _release_in_forks(lock_descriptor: int) -> None:
    """Close the lane's lock in processes that plugins fork: they are not workers."""

    def close_lock() -> None:
        with suppress(OSError):
            os.close(lock_descriptor)

    os.register_at_fork(after_in_child=close_lock)


def _ignore_signal(signal_number: int, stack_frame: FrameType | None) -> None:
    pass

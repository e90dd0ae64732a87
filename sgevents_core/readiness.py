"""Waiting until descriptors can be read, whatever their numbers.

`select.select` refuses descriptors from 1,024 on, and a daemon whose plugins open that many files
would fail where it waits.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike


def wait_until_readable(
    descriptors: Sequence[FileDescriptorLike], seconds: float | None
) -> list[FileDescriptorLike]:
    """Wait for input on descriptors, and return those that have some; their end counts as input.

    Args:
        descriptors: The descriptors, or objects that have one. Negative numbers are never ready.
        seconds: The longest time to wait; None to wait for ever.

    Raises:
        OSError: The system cannot watch them.
        ValueError: One of them is closed.
    """
    if not hasattr(select, "poll"):  # Windows, where the numbers of sockets do not matter
        return select.select(list(descriptors), [], [], seconds)[0]
    input_poll = select.poll()
    for descriptor in descriptors:
        if descriptor != -1:
            input_poll.register(descriptor, select.POLLIN)
    ready_numbers = {
        number for number, _ in input_poll.poll(None if seconds is None else seconds * 1000)
    }
    return [descriptor for descriptor in descriptors if _number_of(descriptor) in ready_numbers]


def _number_of(descriptor: FileDescriptorLike) -> int:
    return descriptor if isinstance(descriptor, int) else descriptor.fileno()

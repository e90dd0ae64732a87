"""A house of lanes over a state in memory, or on a disk where a test is marked with `disk`."""

from __future__ import annotations

from lane_house import memory_house_fixture

__all__ = ["memory_house_fixture"]

"""A house of lanes over a state on disk."""

from __future__ import annotations

from lane_house import house_fixture

__all__ = ["house_fixture"]

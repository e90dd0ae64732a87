"""A house with a worker process."""

from __future__ import annotations

from worker_house import house_fixture, launcher_fixture

__all__ = ["house_fixture", "launcher_fixture"]

"""A stand-in for a Flow Production Tracking site, for trying things and for tests."""

from __future__ import annotations

from sgevents_core.sandbox.site import Sandbox

__all__ = ["Sandbox"]

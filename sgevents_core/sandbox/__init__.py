"""A stand-in for a Flow Production Tracking site, for experiments and tests."""

from __future__ import annotations

from sgevents_core.sandbox.site import Sandbox

__all__ = ["Sandbox"]

"""A stand-in for a Flow Production Tracking site, to try things on and to test against."""

from __future__ import annotations

from sgevents_core.sandbox.site import Sandbox

__all__ = ["Sandbox"]

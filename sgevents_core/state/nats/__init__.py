"""The state of several hosts, whose logs are streams of NATS JetStream; needs the extra `nats`.

It is imported only where `[state] url` is set: by `opening`, by the commands that make and show the
streams, and by `check`.
"""

from __future__ import annotations

import importlib

from sgevents_core.errors import NatsNotInstalledError


def require_client() -> None:
    """Check that the extra is installed; call it before importing anything else from here.

    Raises:
        NatsNotInstalledError: A package of it is missing.
    """
    for module in ("nats", "nkeys"):
        try:
            importlib.import_module(module)
        except ImportError:
            raise NatsNotInstalledError(module=module) from None

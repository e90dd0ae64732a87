"""The state of several hosts, whose logs are streams of NATS JetStream; needs the extra `nats`.

It is imported only where `[state] url` is set: by `opening`, by the commands that make and show the
streams, and by `check`.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from sgevents_core.errors import ExtraMissingError


def require_client(config: Path) -> None:
    """Check that the extra is installed; call it before importing anything else from here.

    Args:
        config: The configuration that asks for it, for people.

    Raises:
        ExtraMissingError: A package of it is missing.
    """
    for module in ("nats", "nkeys"):
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ExtraMissingError(
                config=config, table="[state] url", extra="nats", reason=str(error)
            ) from None

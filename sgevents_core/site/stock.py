"""The stock client, shotgun_api3, under its public names; an error that names its owner if it is
not the one that is needed.

Several distributions bring a module of this name, and so do folders on a studio's path.
"""

from __future__ import annotations

import importlib
import re
import sys
from importlib.machinery import PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Final

from sgevents_core.errors import StockClientError

if TYPE_CHECKING:
    from shotgun_api3.shotgun import (
        AuthenticationFault,
        Fault,
        Shotgun,
        ShotgunError,
    )

__all__ = ["AuthenticationFault", "Fault", "Shotgun", "ShotgunError"]

DISTRIBUTION: Final = "shotgun_api3"
OLDEST: Final = (3, 9)
CHANGED: Final = (
    *("_call_rpc", "_make_call", "_http_request", "_decode_response", "_json_loads"),
    *("_transform_inbound", "_get_connection", "_close_connection", "_get_certs_file"),
    *("_build_opener", "_send_form", "_make_upload_request", "_upload_data_to_storage"),
    *("_upload_to_storage", "_upload_to_sg"),
)
"""Methods of the stock client that are overridden here and have to be there."""


def stock_client() -> ModuleType:
    """Return the module shotgun_api3.

    Raises:
        StockClientError: It is not there, cannot be imported, is too old, or is another one.
    """
    try:
        module = importlib.import_module(DISTRIBUTION)
    except Exception as error:  # what an old or half a copy trips over at import
        what = f"importing it raised {type(error).__name__}: {error}"
        raise StockClientError(**_owner(), problem=what) from error
    problem = _problem(module)
    if problem:
        raise StockClientError(**_owner(), problem=problem)
    return module


def _problem(module: ModuleType) -> str:
    missing = [name for name in __all__ if not hasattr(module, name)]
    if missing:
        return f"it has no {', '.join(missing)}"
    version = str(getattr(module, "__version__", "") or "unknown")
    if _numbers(version) < OLDEST:
        return f"its version is {version}, and 3.9 or newer is needed"
    lacking = [name for name in CHANGED if not callable(getattr(module.Shotgun, name, None))]
    return f"its Shotgun has no {', '.join(lacking)}" if lacking else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d{1,6}", version)[:2])


def _owner() -> dict[str, str]:
    """Return the file that is imported, and which distribution brought it."""
    file = _file()
    if not file:
        return {"file": "no file", "owner": "no distribution"}
    return {"file": file, "owner": _distributions() or "no distribution"}


def _file() -> str:
    module = sys.modules.get(DISTRIBUTION)
    named = getattr(module, "__file__", None)
    if named:
        return str(named)
    try:
        spec = PathFinder.find_spec(DISTRIBUTION)
    except Exception:  # a path hook's own trouble is none of ours
        return ""
    places = list(spec.submodule_search_locations or ()) if spec else []
    return str((spec.origin or (places and places[0]) or "") if spec else "")


def _distributions() -> str:
    """Return the installed distributions that bring a module of this name, with versions."""
    metadata = importlib.import_module("importlib_metadata")
    file = _file()
    named = []
    for one in metadata.distributions():
        for path in one.files or ():
            if path.parts[:1] == (DISTRIBUTION,) and str(one.locate_file(path)) == file:
                named.append(f"{one.metadata['Name']} {one.version}")
                break
    return " and ".join(sorted(set(named)))


if not TYPE_CHECKING:
    _client = stock_client()
    AuthenticationFault = _client.AuthenticationFault
    Fault = _client.Fault
    Shotgun = _client.Shotgun
    ShotgunError = _client.ShotgunError

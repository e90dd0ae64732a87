"""The stock client, shotgun_api3, by its public names, or an error that names the module found.

Several distributions provide a module of this name, and so do folders on a studio's path.
"""

from __future__ import annotations

import errno
import importlib
import os
import re
import sys
from importlib.machinery import PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from sgevents_core.errors import NoMoreFilesError, StockClientError

if TYPE_CHECKING:
    from shotgun_api3.shotgun import (
        AuthenticationFault,
        Fault,
        Shotgun,
        ShotgunError,
    )

__all__ = ["AuthenticationFault", "Fault", "Shotgun", "ShotgunError"]

MODULE: Final = "shotgun_api3"
OLDEST_VERSION: Final = (3, 9)
OVERRIDDEN_METHODS: Final = (
    *("_call_rpc", "_make_call", "_http_request", "_decode_response", "_json_loads"),
    *("_transform_inbound", "_get_connection", "_close_connection", "_get_certs_file"),
    *("_build_opener", "_send_form", "_make_upload_request", "_upload_data_to_storage"),
    *("_upload_to_storage", "_upload_to_sg"),
)
"""Methods of the stock client that sgevents overrides; they have to exist."""


_OUT_OF_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE})


def stock_client() -> ModuleType:
    """Return the module shotgun_api3.

    Raises:
        StockClientError: The module is missing, cannot be imported, is too old, or is another
            module.
        NoMoreFilesError: This process cannot open the module's files.
    """
    try:
        module = importlib.import_module(MODULE)
    except OSError as error:
        if error.errno in _OUT_OF_DESCRIPTORS:
            raise NoMoreFilesError(reason=error.strerror or str(error)) from error
        raise _client_error(f"importing it raised {type(error).__name__}: {error}") from error
    except Exception as error:  # an old or incomplete copy may raise anything at import
        error_text = " ".join(f"{type(error).__name__}: {error}".split())
        raise _client_error(f"importing it raised {error_text}") from error
    problem_text = _problem_with(module)
    if problem_text:
        raise _client_error(problem_text)
    return module


def _client_error(problem_text: str) -> StockClientError:
    module_file = _imported_file()
    distribution_names = _owning_distributions(module_file) if module_file else ""
    if distribution_names:
        origin_text = f"It is imported from {module_file}, which belongs to {distribution_names}"
    elif module_file:
        origin_text = (
            f"It is imported from {module_file}, a copy that no installed distribution lists"
        )
    else:
        origin_text = "No module of that name is on the path"
    return StockClientError(
        problem=problem_text, whence=origin_text, file=module_file, owner=distribution_names
    )


def _problem_with(module: ModuleType) -> str:
    missing_names = [name for name in __all__ if not hasattr(module, name)]
    if missing_names:
        return f"it has no {', '.join(missing_names)}"
    version_text = str(getattr(module, "__version__", "") or "unknown")
    if _version_numbers(version_text) < OLDEST_VERSION:
        return f"its version is {version_text}, and 3.9 or newer is needed"
    missing_methods = [
        name for name in OVERRIDDEN_METHODS if not callable(getattr(module.Shotgun, name, None))
    ]
    return f"its Shotgun has no {', '.join(missing_methods)}" if missing_methods else ""


def _version_numbers(version_text: str) -> tuple[int, ...]:
    return tuple(int(version_part) for version_part in re.findall(r"\d{1,6}", version_text)[:2])


def _imported_file() -> str:
    """Return the file, or else the folder, that is imported; empty if there is none."""
    module_file = getattr(sys.modules.get(MODULE), "__file__", None)
    if module_file:
        return str(module_file)
    try:
        module_spec = PathFinder.find_spec(MODULE)
    except Exception:  # an error of a path hook is not ours to report
        return ""
    if module_spec is None:
        return ""
    search_locations = list(module_spec.submodule_search_locations or ())
    return str(module_spec.origin or (search_locations[0] if search_locations else ""))


def _owning_distributions(module_file: str) -> str:
    """Return the installed distributions that list a file, or something in a folder."""
    installed_metadata = importlib.import_module("importlib_metadata")
    real_path = os.path.realpath(module_file)
    owning_names = {
        f"{distribution.metadata['Name']} {distribution.version}"
        for distribution in installed_metadata.distributions()
        if any(_owns_file(distribution, path, real_path) for path in distribution.files or ())
    }
    return " and ".join(sorted(owning_names))


def _owns_file(distribution: Any, path: Any, wanted_path: str) -> bool:
    if path.parts[0] not in {MODULE, f"{MODULE}.py"}:
        return False
    real_path: str = os.path.realpath(distribution.locate_file(path))
    return real_path == wanted_path or real_path.startswith(wanted_path + os.sep)


if not TYPE_CHECKING:
    _client = stock_client()
    AuthenticationFault = _client.AuthenticationFault
    Fault = _client.Fault
    Shotgun = _client.Shotgun
    ShotgunError = _client.ShotgunError

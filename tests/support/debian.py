"""Programs of Debian's packages that tests run for real."""

from __future__ import annotations

import shutil

import pytest


def debian_program(name: str, package: str) -> str:
    """Return the path of a program; fail with what to install if it is not there."""
    path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") or shutil.which(name)
    if path is None:
        pytest.fail(f"there is no {name} here; on Debian: apt-get install {package}")
    return path

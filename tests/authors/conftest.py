"""Fixtures of the tests of the tools for plugin authors."""

from __future__ import annotations

import pytest
from author_workshop import Workshop, build_core_wheel

from sgevents_core.testing import pytest_plugin


def pytest_configure(config: pytest.Config) -> None:
    """Load the fixtures for authors also if sgevents-core runs from its sources."""
    if not config.pluginmanager.has_plugin("sgevents"):
        config.pluginmanager.register(pytest_plugin, "sgevents")


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """An author's environment."""
    folder = tmp_path_factory.mktemp("workshop")
    return Workshop(folder, build_core_wheel(folder / "core"))

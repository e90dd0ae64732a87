"""The API's description holds for the real answers; schemathesis makes the calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from console_states import fill_state
from console_visits import config_file, console_client
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth

from sgevents_core.console.pages import ACTIONS, PAGES
from sgevents_core.console.ways_in import TokenWay

TOKEN = "the-token-of-this-start"
# `ignored_auth` repeats calls without the proof, but not without these headers: see test_access.
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Host": "127.0.0.1:8090"}


@pytest.fixture(scope="module")
def described_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The description that a console over a state gives of itself."""
    folder = tmp_path_factory.mktemp("api")
    config = config_file(folder, more="[plugins.notify]\nenabled = true\n")
    fill_state(folder / "studio")
    with console_client([config], TokenWay("anna@host", TOKEN)) as client:
        yield schemathesis.openapi.from_asgi("/api/v1/openapi.json", client.app, headers=HEADERS)


OPERATIONS = [
    ("/api/v1/sites", "GET"),
    *((f"/api/v1/sites/{{site}}/{page.name}", "GET") for page in PAGES),
    *((f"/api/v1/sites/{{site}}/{action.path}", "POST") for action in ACTIONS),
]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=str)
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_answers_are_as_described(
    described_api: Any, path: str, method: str, mode: GenerationMode
) -> None:
    """Status, media type and every field, for calls that fit and for calls that do not."""
    operation = described_api[path][method]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=7,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def call(case: Any) -> None:
        case.call_and_validate(headers=HEADERS, excluded_checks=[ignored_auth])

    call()


def test_every_page_and_action_is_described(tmp_path: Path) -> None:
    """With a summary and the types of its answers."""
    with console_client([config_file(tmp_path)]) as client:
        document = client.get("/api/v1/openapi.json").json()
    for page in PAGES:
        operation = document["paths"][f"/api/v1/sites/{{site}}/{page.name}"]["get"]
        assert operation["summary"].endswith(".")
    for action in ACTIONS:
        operation = document["paths"][f"/api/v1/sites/{{site}}/{action.path}"]["post"]
        assert operation["summary"].endswith(".")
    assert len(document["paths"]) == 1 + len(PAGES) + len(ACTIONS)

"""The pages for plugin authors: their samples run, and they are complete."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from author_workshop import Workshop
from doc_pages import DOCS, blocks

from sgevents_core import testing
from sgevents_core.testing import Called, EventBuilder, Harness, HookCalled, Result, pytest_plugin
from sgevents_core.testing.recorded import recorded_text
from sgevents_core.testing.row_building import EventOptions

HOW_TO = DOCS / "how-to" / "test-a-plugin.md"
PAGE = (DOCS / "reference" / "testing.md").read_text("utf-8")


def python_samples(page: Path) -> list[str]:
    """The Python samples of a page."""
    return [block.text for block in blocks(page) if block.language == "python"]


def section(heading: str) -> str:
    """The text below a heading of the reference."""
    _, heading_found, rest = PAGE.partition(f"\n## {heading}\n")
    assert heading_found, heading
    return rest.partition("\n## ")[0]


def public(kind: type[Any]) -> set[str]:
    """Return the public names of a class."""
    public_names = {name for name in dir(kind) if not name.startswith("_")}
    return public_names | set(inspect.get_annotations(kind))


def test_samples_on_testing_pass(workshop: Workshop, tmp_path: Path) -> None:
    """All tests of the page, with the plugin of the tutorial, pass in plain pytest."""
    plugin = python_samples(DOCS / "tutorial" / "first-plugin.md")[0]
    (tmp_path / "studio_hello.py").write_text(plugin, "utf-8")
    events = EventBuilder()
    day = [events.new({"type": "Version", "id": 13}), events.login(), *events.thumbnail()]
    (tmp_path / "day.jsonl").write_text(recorded_text(event.row for event in day), "utf-8")
    samples = python_samples(HOW_TO)
    for number, text in enumerate(samples):
        (tmp_path / f"test_sample_{number}.py").write_text(text, "utf-8")
    output = workshop.python("-m", "pytest", "-W", "error", "-p", "no:cacheprovider", cwd=tmp_path)
    assert f"{sum(text.count('def test_') for text in samples)} passed" in output
    assert len(samples) == 5


def test_recorded_day_shows_what_a_change_would_write(workshop: Workshop, tmp_path: Path) -> None:
    """The test of the page passes once its writes are accepted, and fails when they change."""
    plugin = python_samples(DOCS / "tutorial" / "first-plugin.md")[0]
    module = tmp_path / "studio_hello.py"
    module.write_text(plugin, "utf-8")
    day = [EventBuilder().new({"type": "Version", "id": 13})]
    (tmp_path / "day.jsonl").write_text(recorded_text(event.row for event in day), "utf-8")
    (sample,) = python_samples(DOCS / "how-to" / "test-with-a-recorded-day.md")
    (tmp_path / "test_day.py").write_text(sample, "utf-8")
    command = ("-m", "pytest", "-W", "error", "-p", "no:cacheprovider")
    accepted = workshop.python(*command, cwd=tmp_path, ACCEPT_WRITES="1")
    assert "1 passed" in accepted
    assert '"sg_status_list": "rev"' in (tmp_path / "day-writes.json").read_text("utf-8")
    assert "1 passed" in workshop.python(*command, cwd=tmp_path)
    module.write_text(plugin.replace('"rev"', '"apr"'), "utf-8")
    assert "1 failed" in workshop.python(*command, cwd=tmp_path, fails=True)


def test_sample_of_the_builder_runs() -> None:
    """The sample of the reference runs."""
    (sample,) = python_samples(DOCS / "reference" / "testing.md")
    exec(sample, {})


def test_reference_knows_the_whole_builder() -> None:
    """Every method is documented with its arguments, and the options of all methods."""
    text = section("EventBuilder")
    for name in public(EventBuilder) - {"project", "user"}:
        assert f"`{name}(" in text, name
        for argument in inspect.signature(getattr(EventBuilder, name)).parameters:
            assert argument in {"self", "options"} or re.search(rf"\b{argument}\b", text), argument
    for argument in EventOptions.__annotations__:
        assert re.search(rf"^\| [^|]*`{argument}`", text, re.MULTILINE), argument


def test_reference_knows_the_whole_harness() -> None:
    """Every argument and every method is documented."""
    text = section("Harness")
    for argument in inspect.signature(Harness).parameters:
        assert argument == "table" or f"| `{argument}` |" in text, argument
    for name in public(Harness) - {"site"}:
        assert f"| `{name}(" in text, name


def test_reference_describes_the_whole_result() -> None:
    """Every attribute of the result and of its calls is documented."""
    text = section("Result")
    for name in public(Result) | public(Called) | public(HookCalled):
        assert re.search(rf"`{name}(\(\))?`", text), name


def test_reference_knows_fixtures_and_names() -> None:
    """All fixtures and all importable names are documented."""
    fixtures = [name for name in dir(pytest_plugin) if name.startswith("sgevents_")]
    for page in (PAGE, HOW_TO.read_text("utf-8")):
        assert all(f"| `{name}` |" in page for name in fixtures)
    assert len(fixtures) == 4
    spoken_of = {"Called", "HookCalled", "Result", "Recorder", "Write"}  # made by a harness
    for name in set(testing.__all__) - spoken_of:
        assert f"`{name}" in PAGE, name


def test_page_on_publishing_has_the_tested_commands() -> None:
    """The page has the commands and pip options with which publishing is tested."""
    page = (DOCS / "how-to" / "publish-a-plugin.md").read_text("utf-8")
    for words in (
        "sgevents plugins new studio-fox",
        "python -m build",
        "twine upload --repository-url",
        "pip install --index-url",
        "--extra-index-url",
        "pip install --require-hashes -r requirements.txt",
        "DO NOT MATCH THE HASHES",
        "--fallback-url",
    ):
        assert words in page

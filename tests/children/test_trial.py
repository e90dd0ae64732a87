"""Plugins tried in a process of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from classic_files import ClassicStudio
from waiting import wait_until

from sgevents_core.children.trial import Trial
from sgevents_core.plugins.load_watching import KnownBroken

WELL = "def registerCallbacks(reg): reg.registerCallback('studio', 'studio-demo-key', print)\n"
MEGABYTE = 1 << 20


@pytest.fixture
def studio(tmp_path: Path) -> ClassicStudio:
    """A folder for plugins; the state is there too."""
    (tmp_path / "state").mkdir()
    return ClassicStudio(tmp_path)


@contextmanager
def started(studio: ClassicStudio, **texts: str) -> Iterator[Trial]:
    """Start a trial of files with these texts, which may use 300 MB."""
    for name, text in texts.items():
        studio.write(f"studio/{name}.py", text + WELL)
    tables = '[plugins."classic:studio/hangs"]\nload_timeout = "300ms"\n'
    settings = studio.settings("studio", tables=tables)
    trial = Trial(settings, [f"classic:studio/{name}" for name in texts], 300 * MEGABYTE)
    trial.start()
    try:
        yield trial
    finally:
        trial.close()
        trial.wait()


def results(trial: Trial) -> dict[str, KnownBroken]:
    """Return the failures of a trial once it is over, by the names of the files."""
    trial.wait()
    failures = trial.failures()
    assert failures is not None
    return {name.rpartition("/")[2]: failure for name, failure in failures.items()}


def test_each_plugin_that_fails_is_named_with_the_reason(studio: ClassicStudio) -> None:
    """Whatever one does to the process, the others are tried all the same."""
    texts = {
        "exits": "import os; os._exit(3)\n",
        "hangs": "while True: pass\n",
        "grows": "kept = []\nwhile True: kept.append(bytearray(10 ** 7))\n",
        "raises": "1 / 0\n",
        "well": "",
    }
    with started(studio, **texts) as trial:
        failures = results(trial)
    assert sorted(failures) == ["exits", "grows", "hangs", "raises"]
    assert "it called os._exit(3)" in failures["exits"].reason
    assert "MemoryError" in failures["grows"].reason
    assert "did not return within 300ms" in failures["hangs"].reason
    assert f"ZeroDivisionError: division by zero at {studio.folder}" in failures["raises"].reason


def test_a_process_that_ends_without_a_trace_is_searched_for_the_plugin(
    studio: ClassicStudio,
) -> None:
    """Such as one in which something breaks later; the other plugins load all the same."""
    text = "from sgevents_core.children import child_process\n"
    text += "child_process._describe_loaded = None\n"
    with started(studio, a="", b="", breaks=text, c="") as trial:
        failures = results(trial)
    assert list(failures) == ["breaks"]
    assert "it ended with exit code 1" in failures["breaks"].reason


def test_what_is_printed_and_logged_is_dropped(
    studio: ClassicStudio, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """It is printed and logged when the plugin is loaded for its calls."""
    with started(studio, loud="import logging; print('heard'); logging.error('heard')\n") as trial:
        assert results(trial) == {}
    assert "heard" not in caplog.text
    assert "heard" not in "".join(capfd.readouterr())


def test_a_trial_can_be_ended(studio: ClassicStudio) -> None:
    """It counts as failed: nothing shows that its plugins load."""
    begun = studio.folder / "begun"
    text = f"open({str(begun)!r}, 'w').close()\nimport time\ntime.sleep(600)\n"
    with started(studio, waits=text) as trial:
        wait_until(begun.exists)
        assert trial.failures() is None
        trial.close()
        assert list(results(trial)) == ["waits"]

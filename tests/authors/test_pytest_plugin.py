"""The fixtures for authors, as pytest finds them."""

from __future__ import annotations

from author_workshop import Workshop

HEAVY = {"click", "importlib_metadata", "msgspec", "pluggy", "shotgun_api3", "sqlite3"}


def test_pytest_finds_the_fixtures(workshop: Workshop) -> None:
    """pytest finds the fixtures if sgevents-core is installed, without configuration."""
    output = workshop.python("-m", "pytest", "--fixtures", "-q", "-p", "no:cacheprovider")
    for name in ("sgevents_event", "sgevents_site", "sgevents_harness", "sgevents_recorded"):
        assert name in output


def test_tests_that_do_not_use_them_pay_nothing(workshop: Workshop) -> None:
    """pytest alone loads nothing of sgevents but three small modules."""
    script = "import sys, sgevents_core.testing.pytest_plugin; print(*sys.modules)"
    loaded = set(workshop.python("-c", script).split())
    ours = {name for name in loaded if name.startswith("sgevents_core")}
    assert ours == {
        "sgevents_core",
        "sgevents_core.testing",
        "sgevents_core.testing.pytest_plugin",
    }
    bare = set(workshop.python("-c", "import sys, pytest; print(*sys.modules)").split())
    assert loaded - ours - bare == set()
    assert (loaded - bare).isdisjoint(HEAVY)


def test_sgevents_runs_without_pytest(workshop: Workshop) -> None:
    """Only the fixtures need pytest; the harness and the rest work without it."""
    script = (
        "import sys; sys.modules['pytest'] = None\n"
        "import sgevents_core.testing as testing\n"
        "print([getattr(testing, name) for name in testing.__all__])\n"
        "print(testing.EventBuilder().new('Shot'), 'pytest' in dir(testing))\n"
    )
    assert "Event 1 Shotgun_Shot_New Shot 101 False" in workshop.python("-c", script)


def test_names_are_found_without_being_loaded(workshop: Workshop) -> None:
    """The names can be listed, and a wrong name is an AttributeError."""
    script = "import sgevents_core.testing as t; assert set(t.__all__) <= set(dir(t)); t.Harnes"
    assert "has no attribute 'Harnes'" in workshop.python("-c", script, fails=True)

"""A file that is not TOML: what is said of it helps whoever wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgevents_core.errors import ConfigError
from sgevents_core.settings import read_settings


def problem(toml_text: str) -> tuple[int | None, str, str]:
    """The line, the message and the fix of the one problem of a file."""
    with pytest.raises(ConfigError) as caught:
        read_settings(toml_text, Path("sgevents.toml"))
    (found_problem,) = caught.value.problems
    return found_problem.line, found_problem.message, found_problem.fix


@pytest.mark.parametrize(
    ("toml_text", "line", "message", "fix"),
    [
        (
            "[plugins.a]\nenabled = true\n\n[plugins.a]\ngroup = 'x'\n",
            4,
            "the table [plugins.a] is there twice",
            "move these keys below [plugins.a] at line 1, and remove this line",
        ),
        (
            '[plugins."a.b"]\n[plugins."a.b"]\n',
            2,
            'the table [plugins."a.b"] is there twice',
            'move these keys below [plugins."a.b"] at line 1, and remove this line',
        ),
        (
            'site.url = "x"\n[site]\nscript_name = "a"\n',
            2,
            "the table site is there twice",
            "write each table once",
        ),
        (
            '[site]\nurl = "x"\nurl = "y"\n',
            3,
            "url is set twice in this table",
            "remove one of the two lines",
        ),
        (
            "[site]\nurl = https://studio.example.com\n",
            2,
            "the value of url is not TOML",
            'put text in quotes: url = "..."',
        ),
        (
            "[state]\npath = C:/state # here\n",
            2,
            "the value of path is not TOML",
            'put text in quotes: path = "..."',
        ),
        (
            '[state]\npath = "C:\\studio"\n',
            2,
            "a \\ in double quotes means something else",
            "write it in single quotes, 'C:\\folder', or each \\ as \\\\",
        ),
        ("[plugins.a]\nenabled = yes\n", 2, "the value of enabled is not TOML", None),
    ],
)
def test_common_mistakes_are_explained(
    toml_text: str, line: int, message: str, fix: str | None
) -> None:
    """With the line, in words of the file rather than of the parser, and with what to do."""
    found_problem = problem(toml_text)
    assert found_problem[:2] == (line, message)
    assert fix is None or found_problem[2] == fix


@pytest.mark.parametrize("toml_text", ["[site\n", "a = [1\n", "= 1\n", "a b = 1\n", "a = \n", '"'])
def test_any_other_mistake_has_its_place(toml_text: str) -> None:
    """The parser's reason, and where to look."""
    line, message, fix = problem(toml_text)
    assert line in (1, 2)
    assert message
    assert fix == "correct the TOML at this place, or on the line before it"

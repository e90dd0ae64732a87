"""What commands print: secrets left out of it, and JSON that stays JSON."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sgevents_core.cli.printing import echo_json, read_without_secrets
from sgevents_core.cli.root import sgevents
from sgevents_core.errors import SettingsModelError, SgEventsError
from sgevents_core.site.client_errors import AnswerTooLarge, Redirected


def test_secret_of_digits_or_of_a_word_of_json_breaks_none(tmp_path: Path) -> None:
    """It is left out of texts, wherever they stand, and is no part of a number."""
    config = tmp_path / "sgevents.toml"
    site = '[site]\nurl = "http://127.0.0.1"\nscript_name = "s"\napi_key = "12345678"\n'
    config.write_text(f'{site}[plugins.x.settings]\nword = {{ env = "WORD" }}\n')

    @click.command()
    def tell() -> None:
        read_without_secrets(config)
        expected_json = {
            "id": 123456789,
            "text": ["a 12345678", "null"],
            "12345678": True,
            "none": None,
        }
        echo_json(expected_json)

    command_result = CliRunner().invoke(tell, env={"WORD": "null"})
    assert json.loads(command_result.output) == {
        "id": 123456789, "text": ["a ***", "***"], "***": True, "none": None
    }  # fmt: skip


@pytest.mark.parametrize("kind", [Redirected, AnswerTooLarge])
def test_message_breaks_where_the_screen_does_and_not_where_the_source_did(
    kind: type[SgEventsError],
) -> None:
    """One sentence is one line in logs; paragraphs and what is filled in keep their breaks."""
    error_text = str(
        kind(url="https://x", reason="a\nb", where="w", errcode=301, errmsg="", headers={})
    )
    assert "\n" not in error_text.replace("a\nb", "")
    assert "\n\n" in str(SettingsModelError(where="x", what="y"))


def test_path_with_a_line_break_begins_no_line(tmp_path: Path) -> None:
    """Neither that of a state nor that of a configuration."""
    folder = tmp_path / "a\n<0>forged"
    folder.mkdir()
    config = folder / "sgevents.toml"
    config.write_text('[site]\nurl = "http://127.0.0.1"\nscript_name = "s"\napi_key = "demo-key"\n')
    for arguments in (["status"], ["plugins", "list"], ["plugins", "retry", "x"]):
        output = CliRunner().invoke(sgevents, [*arguments, "-c", str(config)]).output
        assert not any(line.startswith("<0>") for line in output.splitlines()), arguments

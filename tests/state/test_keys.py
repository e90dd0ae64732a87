"""What names a callback: one form in files, whatever the names are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.state.keys import CallKey

PLUGINS = st.text(st.characters(exclude_characters="\0"), max_size=5)


@given(PLUGINS, st.text(max_size=5))
def test_key_is_read_as_it_was_written(plugin: str, callback: str) -> None:
    """Whatever a callback is called, it is told from all others."""
    key = CallKey(plugin, callback)
    assert CallKey.decode(key.encode()) == key


def test_form_in_files_is_that_of_earlier_versions() -> None:
    """Registers and ledgers that are there are read."""
    assert CallKey("notify", "notify:on_new").encode() == "notify\0notify:on_new"


def test_text_that_names_no_callback_is_refused() -> None:
    """It is damage where it is found."""
    with pytest.raises(ValueError, match="'notify' names no callback"):
        CallKey.decode("notify")

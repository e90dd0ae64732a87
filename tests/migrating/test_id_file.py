"""The `.id` file of the classic daemon: all its forms, and what is no such file."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from classic_positions import UNTIL, as_python_2, instructions_of, states
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sgevents_core.errors import IdFileError, IdFileExistsError
from sgevents_core.migrating.id_file import (
    ShapeError,
    StoredPosition,
    StoredState,
    id_file_content,
    parse_id_file,
    read_id_file,
    write_id_file,
)
from sgevents_core.migrating.pickled_values import BrokenPickleError, RefusedPickleError
from sgevents_core.migrating.unpickling import unpickle

STATE = {"/studio/plugins": {"notify": (4711, {4700: UNTIL, 4702: UNTIL}), "rollup": (None, {})}}


def stored(value: dict[str, Any]) -> StoredState:
    """The same as it is read."""

    def position(value: Any) -> StoredPosition:
        return StoredPosition(value, {}) if isinstance(value, int) else StoredPosition(*value)

    return StoredState(
        {
            folder: plugins
            if isinstance(plugins, int)
            else {name: position(each) for name, each in plugins.items()}
            for folder, plugins in value.items()
        }
    )


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@settings(max_examples=40)
@given(states)
@example(STATE)
def test_python_3_wrote_it(protocol: int, value: dict[str, Any]) -> None:
    """Every protocol of Python 3 is read, with every form of a position."""
    assert parse_id_file(pickle.dumps(value, protocol)) == stored(value)


@pytest.mark.parametrize("protocol", [0, 1, 2])
@settings(max_examples=40)
@given(states)
@example(STATE)
def test_python_2_wrote_it(protocol: int, value: dict[str, Any]) -> None:
    """Every protocol of Python 2 is read: its texts are bytes, and so are the times in it."""
    assert parse_id_file(as_python_2(value, protocol)) == stored(value)


def test_python_2_is_what_it_says() -> None:
    """The pickles made for the test above are read by pickle itself as Python 2 wrote them."""
    content = as_python_2({"/p": {"notify": (1, {2: UNTIL})}}, 2)
    assert pickle.loads(content, encoding="latin-1") == {"/p": {"notify": (1, {2: UNTIL})}}
    assert {"SHORT_BINSTRING", "GLOBAL", "REDUCE"} <= set(instructions_of(content))


@pytest.mark.parametrize("content", [b"4711", b"4711\n", b" 4711 \n", b"4711\nmore\n"])
def test_the_oldest_form_is_one_number(content: bytes) -> None:
    """It holds for all plugins."""
    assert parse_id_file(content) == StoredState({}, 4711)


def test_values_are_shared_in_a_pickle() -> None:
    """A value that stands in it several times is remembered, as pickle does."""
    backlog = {5: UNTIL}
    value = {"/a": {"one": (9, backlog), "two": (9, backlog)}}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert parse_id_file(pickle.dumps(value, protocol)) == stored(value)


class Runs:
    """An object whose pickle runs a command."""

    def __init__(self, *call: Any) -> None:
        self._call = call

    def __reduce__(self) -> Any:
        return self._call[0], tuple(self._call[1:])


HOSTILE = {
    ".system": Runs(os.system, "touch pwned"),
    ".Popen": Runs(subprocess.Popen, ["touch", "pwned"]),
    ".eval": Runs(eval, "open('pwned', 'w')"),
    ".getattr": Runs(getattr, "", "format"),
    "datetime.timezone": datetime(2026, 1, 1, tzinfo=timezone.utc),
    "list": [1],
    "set": {1},
    "a number with a fraction": 1.5,
    "bytearray": bytearray(b"1"),
}
"""Part of a name as the error gives it -> a value; protocols write some of them differently."""


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_it_cannot_hold_is_refused_by_name(
    name: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that a pickle names is imported, called or built."""
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({"/p": {"notify": (1, {2: HOSTILE[name]})}}, protocol)
    with pytest.raises(RefusedPickleError) as refused:
        parse_id_file(content)
    assert name in refused.value.name
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"(S'touch pwned'\nios\nsystem\n.", "os.system"),
        (b"(cos\nsystem\nS'touch pwned'\no.", "os.system"),
        (b"\x80\x02cos\nsystem\nU\x01x\x85R.", "os.system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.", "os.system"),
        (b"\x80\x02cdatetime\ndatetime\n)\x81}b.", "an object"),
        (b"\x80\x02\x82\x01.", "a registered class"),
        (b"Psomething\n.", "a persistent object"),
        (b"\x80\x02cdatetime\ndatetime\n(K\x01K\x02K\x03tR.", "a time"),
        (b"\x80\x02c_codecs\nencode\n(U\x01xU\x03hextR.", "_codecs.encode"),
        (b"\x80\x02}N)R.", "a call"),
        (b"\x80\x02}(K\x01K\x01\x86K\x01u.", "a key that is a tuple"),
    ],
)
def test_instructions_that_nothing_here_needs_are_refused(content: bytes, name: str) -> None:
    """Old and rare ways to make an object do not help either."""
    with pytest.raises(RefusedPickleError) as refused:
        unpickle(content)
    assert name in refused.value.name


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02r\xff\xff\xff\xff.",
        b"\x80\x02h\x01.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x8b\xff\xff\xff\x7f.",
        b"L" + b"9" * 5000 + b"L\n.",
        b"I" + b"9" * 5000 + b"\n.",
        b"K\x01K\x01s.",
        b"K\x01K\x01K\x01s.",
        b"}(K\x01u.",
        b"t.",
        b".",
        b"2.",
        b"0.",
        b"S'\\x0'\n.",
        b"Sx\n.",
        b"\x80\x02X\x01\x00\x00\x00\xff.",
        b"Vx\\ud\n.",
        b"\x80\x02K\x01K\x01\x93.",
        b"\xff\x00",
        b"hello\n",
    ],
)
def test_a_broken_pickle_is_refused(content: bytes) -> None:
    """Lengths and places that the content does not have are not believed."""
    with pytest.raises(BrokenPickleError):
        unpickle(content)


def test_a_remembered_place_costs_nothing() -> None:
    """A value may be remembered at any place, however high its number is."""
    assert unpickle(b"\x80\x02K\x07r\xff\xff\xff\xff.") == 7


def test_a_tower_of_tuples_takes_no_time() -> None:
    """A value that would take for ever to compare or print is only refused."""
    floors = b"".join(b"h%ch%c\x86q%c0" % (number, number, number + 1) for number in range(90))
    with pytest.raises(RefusedPickleError, match="a key that is a tuple"):
        unpickle(b"\x80\x02})q\x000" + floors + b"h\x5aK\x01s.")


@given(st.binary(max_size=200))
@example(b"")
def test_any_content_is_read_or_refused(content: bytes) -> None:
    """Whatever is in the file, the error is one that people understand."""
    with suppress(BrokenPickleError, RefusedPickleError, ShapeError):
        parse_id_file(content)


@given(st.integers(0, 400), st.sampled_from(range(pickle.HIGHEST_PROTOCOL + 1)))
def test_a_file_cut_off_is_broken(cut: int, protocol: int) -> None:
    """The classic daemon writes over its file: a copy may hold its beginning only."""
    content = pickle.dumps(STATE, protocol)
    if cut < len(content) - 1:
        with pytest.raises(BrokenPickleError):
            parse_id_file(content[:cut])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (pickle.dumps(STATE)[:-10], "ends too early"),
        (pickle.dumps(["x"]), "a list"),
        (pickle.dumps("x"), "no positions by folder"),
        (pickle.dumps({"/p": "x"}), "no positions by plugin"),
        (pickle.dumps({"/p": {"notify": "x"}}), "no id with a backlog"),
        (pickle.dumps({"/p": {"notify": (1, {2: 3})}}), "no dict of ids and times"),
        (pickle.dumps({"/p": {"notify": (-1, {})}}), "no id of an event"),
        (pickle.dumps({"/p": {"notify": (2**80, {})}}), "no id of an event"),
        (pickle.dumps({"/p": {"notify": (2**200, {})}}), "too long"),
        (pickle.dumps({"/p": {"notify": (True, {})}}), "no id of an event"),
        (pickle.dumps({5: {}}), "is no text"),
        (pickle.dumps(Runs(os.system, "true")), "posix.system"),
    ],
)
def test_the_message_says_what_is_wrong_and_what_to_do(
    content: bytes, says: str, tmp_path: Path
) -> None:
    """It names the file; a file that only seems to be one is told from a broken one."""
    path = tmp_path / "shotgunEventDaemon.id"
    path.write_bytes(content)
    with pytest.raises(IdFileError) as error:
        read_id_file(path)
    assert str(path) in str(error.value)
    assert says in str(error.value)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("name", ["folder", "missing"])
def test_no_file(name: str, tmp_path: Path) -> None:
    """What cannot be read is a message too."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(IdFileError, match=name):
        read_id_file(tmp_path / name)


@settings(max_examples=40)
@given(states.map(stored))
def test_what_is_written_is_read(state: StoredState) -> None:
    """The round trip changes nothing, by this reader and by pickle."""
    folders = {key: value for key, value in state.folders.items() if not isinstance(value, int)}
    content = id_file_content(folders)
    assert parse_id_file(content).folders == folders
    assert pickle.loads(content) == {
        folder: {name: tuple(position) for name, position in plugins.items()}
        for folder, plugins in folders.items()
    }


def test_it_is_written_whole_and_never_over_a_file(tmp_path: Path) -> None:
    """A second time is refused, and leaves no draft."""
    path = tmp_path / "new.id"
    write_id_file(path, {"/p": {"notify": StoredPosition(5, {})}})
    with pytest.raises(IdFileExistsError, match=r"new\.id"):
        write_id_file(path, {})
    assert read_id_file(path).folders == {"/p": {"notify": StoredPosition(5, {})}}
    assert [each.name for each in tmp_path.iterdir()] == ["new.id"]
    with pytest.raises(IdFileError, match="cannot be written"):
        write_id_file(tmp_path / "no" / "such.id", {})


def test_no_object_is_built_by_a_subclass(tmp_path: Path) -> None:
    """Reading in a fresh process imports nothing that the file names."""
    path = tmp_path / "x.id"
    path.write_bytes(b"cantigravity\ngeohash\n.")
    code = (
        "import sys\n"
        "from sgevents_core.migrating.id_file import parse_id_file\n"
        "try:\n    parse_id_file(open(sys.argv[1], 'rb').read())\n"
        "except Exception as error:\n    print(error, 'antigravity' in sys.modules)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert shown.stdout == "antigravity.geohash False\n"

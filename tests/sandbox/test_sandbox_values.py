"""Values of each data type, as recorded on a site: coerced, cut or refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.entity_schema import Field
from sgevents_core.sandbox.refused_calls import RefusedCallError

LARGEST = 2**31 - 1


@pytest.fixture(scope="module")
def typed() -> Iterator[Sandbox]:
    """A site with a version that has a field of each data type, and a task."""
    with Sandbox(project=False) as site:
        kinds = ("checkbox", "color", "currency", "date", "date_time", "duration", "float", "list")
        for kind in (*kinds, "number", "percent", "text", "timecode", "uuid"):
            values = ("Type A", "Type B") if kind == "list" else ()
            site.add_field("Version", Field(f"a_{kind}", kind, kind, valid_values=values))
        site.create("Version", {"code": "v1"})
        site.create("Task", {"content": "comp"})
        yield site


def kept(site: Sandbox, field: str, value: Any, entity_type: str = "Version") -> Any:
    """Return a written value as it is read back."""
    site.update(entity_type, 1, {field: value})
    return site.find(entity_type, [], [field])[0][field]


KEPT = [
    *(("a_text", sent, read) for sent, read in [("", None), ("   ", None), (" a ", "a")]),
    ("a_text", "l1\nl2", "l1\nl2"),
    *(("a_number", sent, read) for sent, read in [("42", 42), (-7, -7), (0, 0), (None, None)]),
    *(("a_number", bound, bound) for bound in (LARGEST, -LARGEST - 1)),
    *(("a_percent", value, value) for value in (0, 101, -1, LARGEST, None)),
    *(("a_timecode", value, value) for value in (0, -3_600_000, 86_400_001, None)),
    *(
        ("a_duration", sent, read)
        for sent, read in [("90", 90), (" 90 ", 90), (90.9, 90), (-1.5, -1)]
    ),
    *(("a_duration", sent, read) for sent, read in [(0.4, 0), (None, None), (LARGEST, LARGEST)]),
    *(("a_float", sent, read) for sent, read in [(2.5, 2.5), ("3.75", 3.75), (" 4.5 ", 4.5)]),
    *(
        ("a_float", sent, read)
        for sent, read in [(1.23456789, 1.234568), (1e-9, 0.0), (None, None)]
    ),
    ("a_currency", 12.5, 12.5),
    *(
        ("a_checkbox", sent, read)
        for sent, read in [(True, True), ("true", True), ("false", False)]
    ),
    *(
        ("a_date", sent, read)
        for sent, read in [("2026-09-02", "2026-09-02"), ("", None), (None, None)]
    ),
    ("a_date_time", "2026-03-04T05:06:07Z", "2026-03-04T05:06:07Z"),
    ("a_date_time", "2026-03-04T05:06:07+05:00", "2026-03-04T00:06:07Z"),
    ("a_date_time", "2026-03-04T05:06:07-08:00", "2026-03-04T13:06:07Z"),
    ("a_date_time", "2026-03-04T05:06:07", "2026-03-04T05:06:07Z"),
    ("a_date_time", "2026-03-04T05:06:07.123Z", "2026-03-04T05:06:07Z"),
    ("a_date_time", "2026-03-04", "2026-03-04T00:00:00Z"),
    ("a_date_time", None, None),
    *(("a_list", sent, read) for sent, read in [("Type A", "Type A"), ("", None), (None, None)]),
    ("a_color", "255,128,0", "255,128,0"),
    ("a_color", None, None),
    *(("sg_status_list", sent, read) for sent, read in [("fin", "fin"), ("", None), (None, None)]),
    ("cached_display_name", "other", "v1"),
    ("tag_list", ["a", "b"], ["a", "b"]),
]


@pytest.mark.parametrize(("field", "sent", "read"), KEPT)
def test_values_are_stored_as_on_a_site(typed: Sandbox, field: str, sent: Any, read: Any) -> None:
    """Text is stripped, numbers are parsed from it, offsets are applied, and the rest is cut."""
    value = kept(typed, field, sent)
    assert (list(value) if field == "tag_list" else value) == read


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("pipeline_step", "pipeline_step"),
        ("Red", "253,1,0"),
        ("black", "45,45,45"),
        ("1,2,3", "1,2,3"),
    ],
)
def test_colours_of_tasks(typed: Sandbox, sent: str, read: str) -> None:
    """A task has the colour of its step, or one that may have a former name."""
    assert kept(typed, "color", sent, "Task") == read


REFUSED = [
    ("a_text", 12345, "expected .String, NilClass. data type.s. but got Integer: 12345"),
    ("a_text", ["a"], 'but got Array: ."a"'),
    ("a_text", {"a": 1}, 'but got Hash: ."a" => 1'),
    ("a_number", 3.7, "expected .String, Integer, NilClass. .* but got Float: 3.7"),
    ("a_number", True, "but got TrueClass: true"),
    ("a_number", "42abc", "Invalid data for 'number' data type. Value: 42abc"),
    ("a_number", "", "Invalid data for 'number' data type. Value: $"),
    ("a_number", LARGEST + 1, "Update failed for .Version.a_number.: Invalid statement."),
    ("a_number", str(LARGEST + 1), "Invalid statement."),
    ("a_number", -LARGEST - 2, "Invalid statement."),
    ("a_percent", "50", 'expected .Integer, NilClass. .* but got String: "50"'),
    ("a_percent", 0.5, "but got Float: 0.5"),
    ("a_percent", LARGEST + 1, "Invalid statement."),
    ("a_timecode", "01:00:00:00", "but got String"),
    ("a_timecode", 1.5, "but got Float"),
    ("a_timecode", LARGEST + 1, "Invalid statement."),
    ("a_duration", "2:30", "Invalid data for 'duration' data type. Value: 2:30"),
    ("a_duration", "", "Invalid data for 'duration'"),
    ("a_duration", True, "expected .String, Integer, NilClass, Float. .* got TrueClass"),
    ("a_duration", LARGEST + 1, "Invalid statement."),
    ("a_float", 2, "expected .String, BigDecimal, Float, NilClass. .* but got Integer: 2"),
    ("a_float", "abc", "Invalid data for 'float' data type. Value: abc"),
    ("a_float", "", "Invalid data for 'float'"),
    ("a_float", True, "but got TrueClass"),
    ("a_currency", 2, "but got Integer: 2"),
    ("a_checkbox", None, "expected .String, FalseClass, TrueClass. .* but got NilClass: nil"),
    ("a_checkbox", 1, "but got Integer: 1"),
    ("a_checkbox", "1", "Invalid data for 'checkbox' data type. Value: 1"),
    ("a_checkbox", "", "Invalid data for 'checkbox'"),
    ("a_date", "2026-02-30", "Invalid date format: 2026-02-30. Correct format is: 2011-01-21"),
    ("a_date", "2026-09-02T00:00:00Z", "Invalid date format"),
    ("a_date", 1757000000, "but got Integer"),
    ("a_date", False, "but got FalseClass: false"),
    ("a_date_time", "2026-03-04 05:06:07", "Invalid date time format: 2026-03-04 05:06:07"),
    ("a_date_time", "2019-03-04 05:06:07 UTC", "Invalid date time format"),
    ("a_date_time", "", "Invalid date time format: . Correct format is 2011-01-21T13:26:09Z"),
    ("a_date_time", "1772600767", "Invalid date time format"),
    ("a_date_time", 1772600767, "but got Integer"),
    (
        "a_list",
        "type a",
        "'type a' is not a valid list value. Valid list values: 'Type A', 'Type B'.",
    ),
    ("a_list", "Type A ", "is not a valid list value"),
    ("a_list", ["Type A"], "but got Array"),
    ("a_list", 0, "but got Integer: 0"),
    ("sg_status_list", "Final", "'Final' is not a valid status. Valid statuses: 'wtg', 'rdy', "),
    ("a_color", "#ff8000", "is not a valid color token: .#ff8000"),
    ("a_color", "red", "is not a valid color token"),
    ("a_color", "255, 128, 0", "At least one component value is not valid"),
    ("a_color", "300,0,0", "At least one component value is out of range"),
    ("a_color", "255,128", "is not a valid color expression"),
    ("a_color", [1, 2, 3], "but got Array"),
    ("created_at", "2020-01-01T00:00:00Z", "Version.created_at is editable on create only."),
    ("updated_by", None, "Version.updated_by is editable on create only."),
    ("tag_list", "a", "but got String"),
    ("entity", 7, "expected .Hash, .* but got Integer: 7"),
    ("entity", {"id": 7}, "invalid/missing entity hash string 'type'"),
    ("entity", {"type": "Shot", "id": 999}, "Value is not legal"),
    ("playlists", None, "expected .Array, Hash. data type.s. but got NilClass: nil"),
    ("playlists", [5], "invalid/missing entity hash: 5"),
    ("playlists", [{"type": "Task", "id": 1}], "Value is not legal"),
]


@pytest.mark.parametrize(("field", "value", "message"), REFUSED)
def test_values_are_refused_as_a_site_refuses_them(
    typed: Sandbox, field: str, value: Any, message: str
) -> None:
    """An invalid value is refused in a site's words, and nothing is written."""
    before = typed.find("Version", [], [field])
    with pytest.raises(RefusedCallError, match=message):
        typed.update("Version", 1, {field: value})
    assert typed.find("Version", [], [field]) == before


@pytest.mark.parametrize("value", [None, "", "#ff8000", "Cyan"])
def test_a_task_is_never_without_colour(typed: Sandbox, value: Any) -> None:
    """A task's colour cannot be cleared or set to an invalid one."""
    with pytest.raises(RefusedCallError, match=r"Task\.color"):
        typed.update("Task", 1, {"color": value})


def test_numbers_out_of_bounds_say_so_at_creation(typed: Sandbox) -> None:
    """A create states the cause where an update does not."""
    with pytest.raises(RefusedCallError, match="PG::NumericValueOutOfRange"):
        typed.create("Version", {"a_number": LARGEST + 1})


def test_creation_sets_the_stamps(typed: Sandbox) -> None:
    """`created_at` and similar fields can be set only in a create."""
    stamps = {"created_at": "2019-03-04T05:06:07+02:00", "updated_at": "2019-03-05"}
    created = typed.create("Version", {"code": "old", **stamps})
    (read,) = typed.find("Version", [["id", "is", created["id"]]], list(stamps))
    assert read["created_at"] == "2019-03-04T03:06:07Z"
    assert read["updated_at"] == "2019-03-05T00:00:00Z"
    typed.delete("Version", created["id"])


def test_most_links_take_any_type(typed: Sandbox) -> None:
    """`valid_types` of a link to one record is enforced for few fields, such as `project`."""
    task = {"type": "Task", "id": 1}
    assert kept(typed, "entity", task)["type"] == "Task"
    with pytest.raises(RefusedCallError, match="Project expected, got Task"):
        typed.update("Version", 1, {"project": task})


FOUND = [
    *(["a_text", *rest] for rest in (["is", "A"], ["is_not", "b"], ["contains", ""])),
    *(["a_text", *rest] for rest in (["in", ["x", "A"]], ["not_in", ["b"]])),
    *(["a_number", *rest] for rest in (["is", "5"], ["in", ["5"]], ["between", [9, 1]])),
    *(["a_duration", *rest] for rest in (["is", "480"], ["is", 480.6], ["in", [480, 1]])),
    *(["a_float", *rest] for rest in (["is", 1.5000004], ["is", "1.5"], ["between", [2.0, 1.0]])),
    *(["a_checkbox", "is", value] for value in (True, "true")),
    *(["a_list", *rest] for rest in (["is", "type a"], ["in", ["TYPE A", "nope"]])),
    *(
        ["a_date", *rest]
        for rest in (["between", ["2026-09-03", "2026-09-01"]], ["in", ["2026-09-02"]])
    ),
    ["a_date_time", "is", "2026-03-04T05:06:07+05:00"],
    ["a_uuid", "is", ""],
    ["client_code", "is", ""],
]


@pytest.mark.parametrize("condition", FOUND, ids=str)
def test_filters_coerce_values_like_writes(typed: Sandbox, condition: list[Any]) -> None:
    """Values of a filter are coerced like written ones; text and lists match in any case."""
    typed.add_field("Version", Field("client_code", "text", "Client Code"))
    values = {"a_text": "a", "a_number": 5, "a_duration": 480, "a_float": 1.5, "a_checkbox": True}
    more = {"a_list": "Type A", "a_date": "2026-09-02", "a_date_time": "2026-03-04T00:06:07Z"}
    typed.update("Version", 1, {**values, **more})
    assert [row["id"] for row in typed.find("Version", [condition])] == [1]


@pytest.mark.parametrize(
    "condition",
    [
        *(["a_date", "between", ends] for ends in (["2026-09-01", None], [None, "2026-09-03"])),
        ["a_number", "between", [None, None]],
        ["id", "between", [None, 5]],
        ["a_text", "in", [""]],
        ["sg_status_list", "is", "Pending Review"],
        ["sg_status_list", "is", "REV"],
        ["color", "is", "PIPELINE_STEP"],
    ],
    ids=str,
)
def test_filters_that_find_nothing_without_a_word(typed: Sandbox, condition: list[Any]) -> None:
    """An open end of `between`, empty text in a list and labels of statuses find nothing."""
    entity_type = "Task" if condition[0] == "color" else "Version"
    assert typed.find(entity_type, [condition]) == []


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (["a_text", "in", [None]], "Read failed for entity type .Version"),
        (["a_number", "not_between", [1, 2]], "doesn't support 'not_between' 'relation'"),
        (["a_float", "is", 1], "but got Integer: 1"),
        (["a_percent", "is", "50"], "but got String"),
        (["a_checkbox", "is", None], "but got NilClass: nil"),
        (["a_checkbox", "in", [True]], 'Valid relations: ."is", "is_not"'),
        (["a_date", "is", "2026-09-02T00:00:00Z"], "Invalid date format"),
        (["a_color", "is", "#ff8000"], "invalid format for color value"),
        (["a_uuid", "is", None], "but got NilClass"),
        (["a_uuid", "is", "abc"], "invalid input syntax for type uuid"),
        (["image", "is", ""], "expects a nil value for 'image' data type"),
        (["entity", "name_starts_with", "x"], "doesn't support 'name_starts_with'"),
        (["a_date", "in_last", [-1, "DAY"]], "expects at a positive Integer time unit"),
        (["a_date", "in_last", [1, "day"]], "doesn't support the 'day' time unit"),
    ],
    ids=str,
)
def test_filters_are_refused_as_a_site_refuses_them(
    typed: Sandbox, condition: list[Any], message: str
) -> None:
    """Relations and values that a data type does not accept are refused in a site's words."""
    with pytest.raises(RefusedCallError, match=message):
        typed.find("Version", [condition])

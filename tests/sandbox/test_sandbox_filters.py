"""Filters: every relation on every kind of field, and groups, against a simple evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.filter_relations import POSITIVE_RELATIONS, RELATIONS_BY_TYPE
from sgevents_core.sandbox.refused_calls import RefusedCallError

NOW = datetime(2026, 5, 13, 15, 30, tzinfo=timezone.utc)  # a Wednesday

CODES = ("sh010", "SH020", "sh020_b", None, "comp", "")
NUMBERS = (None, 0, 1, 24, 100)
LENSES = (None, 0.5, 35.0, 50.0)
STATUSES = ("wtg", "ip", "fin")
FIELDS = [
    "code",
    "sg_cut_in",
    "sg_lens",
    "sg_vfx",
    "sg_status_list",
    "sg_shot_type",
    "sg_sequence",
    "assets",
    "id",
    "sg_sequence.Sequence.code",
    "assets.Asset.code",
]


@pytest.fixture(scope="module")
def shots() -> Iterator[Sandbox]:
    """A site with shots that have various values."""
    with Sandbox(project=False, clock=lambda: NOW) as site:
        sequences = [site.create("Sequence", {"code": code}) for code in ("sq1", "Sq2")]
        assets = [site.create("Asset", {"code": code}) for code in ("Fox", "Hare", "fox den")]
        for number in range(36):
            values = {
                "code": CODES[number % 6],
                "sg_cut_in": NUMBERS[number % 5],
                "sg_lens": LENSES[number % 4],
                "sg_vfx": number % 3 == 0,
                "sg_status_list": STATUSES[number % 3],
                "sg_shot_type": ("wide", None)[number % 2],
                "sg_sequence": (*sequences, None)[number % 3],
                "assets": assets[: number % 4],
            }
            site.create("Shot", values)
        site.delete("Asset", assets[1]["id"])
        yield site


def folded(value: Any) -> Any:
    """Return text without its case."""
    return value.lower() if isinstance(value, str) else value


def same(field: str, value: Any, wanted: Any) -> bool:
    """Return whether a value matches, evaluated simply."""
    if isinstance(value, list):
        return not value if wanted is None else any(same(field, nested, wanted) for nested in value)
    if isinstance(wanted, dict) or isinstance(value, dict):
        return bool(value and wanted) and (value["type"], value["id"]) == (
            wanted["type"],
            wanted["id"],
        )
    if "code" in field or field == "sg_shot_type":
        return bool(folded(value) == folded(wanted))
    return bool(value == wanted)


def names(value: Any) -> list[str]:
    """The names of one link or several."""
    links = value if isinstance(value, list) else [value] if value else []
    return [folded(link["name"]) for link in links]


PLAIN: dict[str, Callable[[str, Any, list[Any]], bool]] = {
    "is": lambda field, value, wanted: same(field, value, wanted[0] if wanted[0] != "" else None),
    "in": lambda field, value, wanted: any(
        same(field, value, nested) or value is nested is None for nested in wanted
    ),
    "less_than": lambda _, value, wanted: value is not None and value < wanted[0],
    "greater_than": lambda _, value, wanted: value is not None and value > wanted[0],
    "between": lambda _, value, wanted: value is not None and min(wanted) <= value <= max(wanted),
    "contains": lambda _, value, wanted: value is not None and wanted[0].lower() in value.lower(),
    "starts_with": lambda _, value, wanted: (value or "").lower().startswith(wanted[0].lower()),
    "ends_with": lambda _, value, wanted: (value or "").lower().endswith(wanted[0].lower()),
    "type_is": lambda _, value, wanted: any(
        link["type"] == wanted[0]
        for link in (value if isinstance(value, list) else [value] if value else [])
    ),
    "name_is": lambda _, value, wanted: wanted[0].lower() in names(value),
    "name_contains": lambda _, value, wanted: any(wanted[0].lower() in n for n in names(value)),
}


def passes(row: dict[str, Any], condition: Any) -> bool:
    """Evaluate a condition simply."""
    if isinstance(condition, dict):
        parts = [passes(row, filter_part) for filter_part in condition["filters"]]
        return all(parts) if condition["filter_operator"] == "all" else any(parts)
    path, relation, values = condition
    positive = POSITIVE_RELATIONS.get(relation, relation)
    field_values = row[path]
    several = path == "assets.Asset.code"
    held = any(
        PLAIN[positive](path, nested, values)
        for nested in (field_values if several else [field_values])
    )
    return held is (positive == relation)


TEXTS = st.sampled_from(["sh0", "SH020", "020", "b", "fox", "FOX DEN", "den", "sq", "2"])
LINKS = st.sampled_from(
    [{"type": "Sequence", "id": 1}, {"type": "Sequence", "id": 2}, {"type": "Sequence", "id": 9}]
)
ASSETS = st.sampled_from([{"type": "Asset", "id": number} for number in (1, 2, 3, 9)])
ORDERED = ("is", "is_not", "in", "not_in", "less_than", "greater_than", "between")


def few(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """One to three of them."""
    return st.lists(values, min_size=1, max_size=3)


def on(path: str, relations: tuple[str, ...], values: st.SearchStrategy[Any]) -> Any:
    """Conditions on a field, with as many values as each relation takes."""

    def with_values(relation: str) -> st.SearchStrategy[Any]:
        sizes = {"in": (1, 3), "not_in": (1, 3), "between": (2, 2)}
        least, most = sizes.get(relation, (1, 1))
        of = values
        if relation not in ("is", "is_not", "in", "not_in"):
            of = values.filter(lambda value: value is not None)
        return st.tuples(
            st.just(path), st.just(relation), st.lists(of, min_size=least, max_size=most)
        )

    return st.sampled_from(relations).flatmap(with_values)


NAMED = ("name_is", "name_contains", "name_not_contains")
TEXTUAL = ("contains", "not_contains", "starts_with", "ends_with")
EQUAL = ("is", "is_not", "in", "not_in")
CONDITIONS = st.one_of(
    on("code", ("is", "is_not"), st.sampled_from(CODES)),
    on("code", ("in", "not_in"), st.sampled_from([code for code in CODES if code is not None])),
    on("code", TEXTUAL, TEXTS),
    on("sg_cut_in", ORDERED, st.sampled_from(NUMBERS)),
    on("id", ORDERED, st.integers(0, 40)),
    on("sg_lens", ORDERED, st.sampled_from(LENSES)),
    on("sg_vfx", ("is", "is_not"), st.booleans()),
    on("sg_status_list", EQUAL, st.sampled_from(STATUSES)),
    on("sg_shot_type", EQUAL, st.sampled_from(["wide", None, "Wide"])),
    on("sg_sequence", EQUAL, st.one_of(LINKS, st.none())),
    on("assets", EQUAL, st.one_of(ASSETS, st.none())),
    on("sg_sequence", NAMED, TEXTS),
    on("assets", NAMED, TEXTS),
    on("sg_sequence", ("type_is", "type_is_not"), st.sampled_from(["Sequence", "Shot"])),
    on("assets", ("type_is", "type_is_not"), st.sampled_from(["Asset", "Shot"])),
    on("sg_sequence.Sequence.code", (*EQUAL, *TEXTUAL), TEXTS),
    on("assets.Asset.code", (*EQUAL, *TEXTUAL), TEXTS),
)


def grouped(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Groups of conditions."""
    return st.fixed_dictionaries(
        {"filter_operator": st.sampled_from(["all", "any"]), "filters": few(parts)}
    )


@settings(max_examples=60)
@given(st.lists(st.recursive(CONDITIONS, grouped, max_leaves=6), max_size=3))
def test_filters_agree_with_a_simple_evaluation(shots: Sandbox, filters: list[Any]) -> None:
    """Any group of conditions finds exactly the records that match when evaluated one by one."""
    rows = shots.find("Shot", [], FIELDS)
    for row in rows:
        row["assets.Asset.code"] = [link["name"] for link in row["assets"]]
    wanted = [row["id"] for row in rows if all(passes(row, filter_part) for filter_part in filters)]
    assert [row["id"] for row in shots.find("Shot", filters)] == wanted


@pytest.mark.parametrize(
    ("path", "relation", "values", "expected"),
    [
        ("sg_cut_in", "less_than", [24], [2, 3]),
        ("sg_cut_in", "greater_than", [24], [5]),
        ("sg_cut_in", "between", [1, 24], [3, 4]),
        ("sg_cut_in", "is", [None], [1]),
        ("sg_cut_in", "is_not", [24], [1, 2, 3, 5]),
        ("sg_cut_in", "in", [0, None], [1, 2]),
        ("sg_cut_in", "not_in", [0, None], [3, 4, 5]),
        ("code", "starts_with", ["SH0"], [1, 2, 3]),
        ("code", "ends_with", ["_B"], [3]),
        ("code", "contains", ["H02"], [2, 3]),
        ("code", "not_contains", ["H02"], [1, 4, 5]),
        ("code", "is", ["sh020"], [2]),
        ("code", "is", [None], [4]),
        ("assets", "is", [None], [1, 5]),
        ("assets", "is_not", [None], [2, 3, 4]),
        ("assets", "is", [{"type": "Asset", "id": 3}], [4]),
        ("assets", "is_not", [{"type": "Asset", "id": 3}], [1, 2, 3, 5]),
        ("assets", "is", [{"type": "Asset", "id": 2}], []),
        ("assets", "in", [{"type": "Asset", "id": 3}, None], [1, 4, 5]),
        ("assets", "type_is_not", ["Asset"], [1, 5]),
        ("sg_sequence", "is", [None], [3]),
        ("sg_sequence", "type_is", ["Sequence"], [1, 2, 4, 5]),
        ("sg_sequence", "type_is", [None], [3]),
        ("sg_sequence", "name_is", ["SQ1"], [1, 4]),
        ("sg_sequence", "name_not_contains", ["2"], [1, 3, 4]),
        ("sg_vfx", "is", [True], [1, 4]),
        ("sg_vfx", "is_not", [True], [2, 3, 5]),
    ],
)
def test_relations_one_by_one(
    shots: Sandbox, path: str, relation: str, values: list[Any], expected: list[int]
) -> None:
    """Each relation finds what its name says, among the first five shots."""
    shots_found = shots.find("Shot", [[path, relation, values], ["id", "less_than", 6]])
    assert [shot["id"] for shot in shots_found] == expected


@pytest.mark.parametrize("data_type", ["serializable", "url"])
def test_data_types_without_filters(shots: Sandbox, data_type: str) -> None:
    """A filter on a field that cannot be filtered on is refused."""
    path = {"serializable": ("EventLogEntry", "meta"), "url": ("Version", "sg_uploaded_movie")}
    entity_type, field = path[data_type]
    with pytest.raises(RefusedCallError, match=f"'{data_type}' data type cannot be used"):
        shots.find(entity_type, [[field, "is", None]])


def test_each_data_type_names_its_relations(shots: Sandbox) -> None:
    """A relation that a data type does not accept is refused with those that it does."""
    examples = {
        field.data_type: (kind.name, field.name)
        for kind in shots.database.schema
        for field in kind.fields.values()
    }
    assert examples.keys() - RELATIONS_BY_TYPE.keys() == {
        *("calculated", "password", "serializable", "summary", "url"),
    }
    for data_type, (entity_type, name) in examples.items():
        if data_type in RELATIONS_BY_TYPE:
            with pytest.raises(RefusedCallError) as refused:
                shots.find(entity_type, [[name, "about", 1]])
            assert all(
                f'"{relation}"' in str(refused.value) for relation in RELATIONS_BY_TYPE[data_type]
            )


def test_thumbnails_are_there_or_not(shots: Sandbox) -> None:
    """A filter on an image can only test whether there is one."""
    shots.thumbnail("Shot", 3)
    assert [shot["id"] for shot in shots.find("Shot", [["image", "is_not", None]])] == [3]
    assert len(shots.find("Shot", [["image", "is", None]])) == 35

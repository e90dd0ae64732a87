"""What an installation brings onto a studio's machines, by name."""

from __future__ import annotations

from collections.abc import Iterator

from importlib_metadata import requires
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOOKED_AT = {
    *("click", "importlib-metadata", "msgspec", "packaging", "pluggy", "rich", "shotgun-api3"),
    *("tomli", "zipp", "markdown-it-py", "mdurl", "pygments", "typing-extensions"),
}
"""Distributions whose authors and contents were looked at. Add one once you have done so."""


def brought(distribution: str) -> Iterator[str]:
    """Yield the distributions that one requires in this environment, itself left out."""
    for text in requires(distribution) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


def test_every_distribution_was_looked_at() -> None:
    """One that comes along with a new version of another is noticed before a studio has it."""
    waiting, seen = ["sgevents-core"], set[str]()
    while waiting:
        for name in brought(waiting.pop()):
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    assert seen <= LOOKED_AT, f"not looked at: {', '.join(sorted(seen - LOOKED_AT))}"
    assert {"click", "zipp"} <= seen

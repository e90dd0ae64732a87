"""The type of `ctx.sg` is what the client really takes."""

from __future__ import annotations

import inspect

import pytest
from shotgun_api3.shotgun import Shotgun

from sgevents_core import SiteClient

METHODS = [
    name
    for name, member in vars(SiteClient).items()
    if inspect.isfunction(member) and name[0] != "_"
]


@pytest.mark.parametrize("method", METHODS)
def test_methods_take_what_the_client_takes(method: str) -> None:
    """The same arguments in the same order, with the same defaults."""
    promised = inspect.signature(getattr(SiteClient, method)).parameters.values()
    real = inspect.signature(getattr(Shotgun, method)).parameters.values()
    assert [(one.name, one.kind, one.default) for one in promised] == [
        (one.name, one.kind, one.default) for one in real
    ]


def test_methods_are_described() -> None:
    """An editor shows what each does."""
    assert len(METHODS) >= 19
    assert all(getattr(SiteClient, name).__doc__ for name in METHODS)

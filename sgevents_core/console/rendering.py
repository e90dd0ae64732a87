"""Rendering of pages: one Jinja environment, which escapes everything and knows no secret."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from sgevents_core import __version__
from sgevents_core.console import shown_values


class _PageEnvironment(Environment):
    """An environment in which `view.items` is the field of a view, not a method of dict."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


def page_environment(zone: tzinfo | None, page_names: frozenset[str]) -> Environment:
    """Return the environment of all templates.

    Args:
        page_names: The names of all pages.
        zone: The time zone of the site's host; None for the local one.
    """
    environment = _PageEnvironment(
        loader=PackageLoader("sgevents_core.console"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown_values.printed,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    clock = shown_values.Clock(zone)
    environment.filters.update(
        time=clock.element,
        duration=shown_values.duration,
        number=shown_values.number,
        counted=shown_values.counted,
        one_line=shown_values.in_one_line,
        breakable=shown_values.breakable,
        long_text=shown_values.long_text,
    )
    environment.globals.update(
        version=__version__, page_link=_page_link, raw=_raw, has_page=page_names.__contains__
    )
    return environment


@pass_context
def _page_link(context: Context, page_path: str, **query: object) -> str:
    """Return the address of a page of the site that is being shown.

    Args:
        context: The template's context, for the site.
        page_path: The page's path; empty for the overview.
        query: Its parameters; empty ones are left out.
    """
    parameters = urlencode(
        {key: str(value) for key, value in query.items() if value not in ("", None)}
    )
    return f"/sites/{context['site']['slug']}/{page_path}" + (
        f"?{parameters}" if parameters else ""
    )


def _raw(value: object) -> Markup:
    """Return a value for a hidden field: escaped, but neither shortened nor made visible."""
    return escape(str(value))

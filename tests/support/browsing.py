"""A visitor of the console with a real browser, who notices what a person would not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, expect

AXE: Final = Path(__file__).parents[1] / "console" / "browser" / "axe.min.js"
WAIT: Final = 60_000
"""Milliseconds that something may take on a slow machine."""
_SERIOUS: Final = {"serious", "critical"}


class Visitor:
    """One browser window, with all that went wrong in it.

    Args:
        browser: The browser.
        address: The console's address.
        width: The window's width.
        scheme: The colours that the person prefers.
    """

    def __init__(
        self, browser: Browser, address: str, *, width: int, scheme: Literal["light", "dark"]
    ) -> None:
        self._context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            timezone_id="Asia/Tokyo",
            locale="en-GB",
        )
        self._context.set_default_timeout(WAIT)
        self.width = width
        self.address = address
        self.page: Page = self._context.new_page()
        self.errors: list[str] = []
        self.foreign_calls: list[str] = []
        self.page.on("console", self._note_console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", self._answer_dialog)
        self.page.on("request", self._note_request)
        self.questions: list[str] = []

    def close(self) -> None:
        """Close the window, and fail if anything went wrong in it."""
        self._context.close()
        assert self.errors == []
        assert self.foreign_calls == []

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.errors.append(f"{message.text} ({message.location.get('url')})")

    def _note_request(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.address).netloc:
            self.foreign_calls.append(request.url)

    def _answer_dialog(self, dialog: Dialog) -> None:
        self.questions.append(dialog.message)
        dialog.accept()

    def sign_in(self, token: str) -> None:
        """Follow the link that the console prints at its start."""
        self.page.goto(f"{self.address}/enter?token={token}")

    def open(self, path: str) -> None:
        """Open a page, and wait until its scripts have run."""
        answer = self.page.goto(f"{self.address}{path}")
        assert answer is not None
        assert answer.status == 200, path
        self.wait_for_scripts()

    def wait_for_scripts(self) -> None:
        """Wait until the page's own script has run."""
        expect(self.page.locator("html[data-ready]")).to_be_attached(timeout=WAIT)

    def overhang(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        scroll_width = self.page.evaluate("document.documentElement.scrollWidth")
        return max(int(scroll_width) - self.width, 0)

    def barriers(self) -> list[str]:
        """Return what axe finds that keeps people out: serious and critical violations."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        result: dict[str, Any] = self.page.evaluate(
            "axe.run(document, {resultTypes: ['violations']})"
        )
        return [
            f"{violation['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
            for violation in result["violations"]
            if violation["impact"] in _SERIOUS
            for node in violation["nodes"][:3]
        ]

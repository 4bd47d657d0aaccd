"""Examines every page that a browser comes to: axe-core, focus, width, motion, and who was asked."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from chromium import Chromium

SCREENSHOTS = os.environ.get("LANDBRIDGE_SCREENSHOTS", "")
"""A folder to keep screenshots and the log of requests in; docs/sign-in holds both."""

NARROW = 320
"""CSS pixels at which a page must still fit (WCAG 2.2, 1.4.10)."""

_RING = """(style => style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth))
(getComputedStyle(document.activeElement))"""
_TOP = "document.body.tabIndex = -1, document.body.focus(), document.body.removeAttribute('tabindex')"


class Examined:
    """One person's walk through pages of the cloud at ``cloud``, and the ``program`` that waits."""

    def __init__(self, browser: Chromium, cloud: str, program: str = "") -> None:
        self.browser = browser
        self.known = {urlsplit(cloud).netloc: "THE-CLOUD", urlsplit(program).netloc: "THE-PROGRAM"}
        self._seen = 0

    def page(self, name: str, focus: str = "") -> None:
        """Examine the page, in light and dark; ``focus`` is where a person begins to type."""
        for scheme in ("light", "dark"):
            self.browser.look(scheme)
            assert self.browser.violations() == []
            if SCREENSHOTS:
                self.browser.screenshot(Path(SCREENSHOTS) / f"{name}-{scheme}.png")
        self._fits()
        assert self.browser.evaluate("document.getAnimations().length") == 0
        if focus:
            assert self.browser.focused() == focus
            assert self.browser.evaluate(_RING) >= 2
        assert self.browser.complaints == []
        self._log(name)

    def _fits(self) -> None:
        self.browser.look("light", NARROW)
        assert self.browser.evaluate("document.documentElement.scrollWidth") <= NARROW
        self.browser.look("light")

    def from_the_top(self) -> None:
        """Have the next Tab lead to the first place of the page."""
        self.browser.evaluate(_TOP)

    def stops(self) -> list[str]:
        """Return where Tab leads from the top of the page to its end."""
        self.from_the_top()
        found: list[str] = []
        while len(found) < 20:
            self.browser.press("Tab")
            name = self.browser.focused()
            if name in ("BODY", *found):
                break
            assert self.browser.evaluate(_RING) >= 2, f"No ring around {name}."
            found.append(name)
        return found

    def nobody_else_was_asked(self) -> None:
        """Fail if a request went anywhere but to the cloud and the program."""
        self._log("and then")
        hosts = {urlsplit(url).netloc for _, url in self._requests() if url.startswith(("http", "ws"))}
        assert hosts
        assert hosts <= set(self.known)

    def _requests(self) -> list[tuple[str, str]]:
        return [(method, url) for method, _, url in (line.partition(" ") for line in self.browser.asked)]

    def _log(self, name: str) -> None:
        """Write down what was asked since the last page; ports differ, so known hosts go by a word."""
        new, self._seen = self._requests()[self._seen :], len(self.browser.asked)
        if not SCREENSHOTS or not new:
            return
        with (Path(SCREENSHOTS) / "requests.txt").open("a") as log:
            log.write(f"{name}:\n")
            for method, url in new:
                parts = urlsplit(url)
                host = self.known.get(parts.netloc, parts.netloc)
                log.write(f"    {method} {parts.scheme}://{host}{parts.path}\n")

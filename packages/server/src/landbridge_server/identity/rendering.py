"""Pages for people: HTML that needs no script, from the templates in ``pages``, and their headers."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDER = Path(__file__).parent / "pages"
STYLE = (FOLDER / "style.css").read_text(encoding="utf-8")

_environment = Environment(
    loader=FileSystemLoader(FOLDER),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


SUBMIT = "document.forms[0].submit()"
"""The only script of all pages: a form that posts itself, beside a button that does the same."""


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def policy(form_action: str = "'self'", script: str = "") -> str:
    """Return a Content-Security-Policy: nothing from elsewhere, no frames, forms to ``form_action`` only."""
    scripts = f"script-src {_hash(script)}; " if script else ""
    return (
        f"default-src 'none'; style-src {_hash(STYLE)}; {scripts}form-action {form_action}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )


HEADERS = {
    "content-security-policy": policy(),
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
"""Headers of every page: nothing from elsewhere, no frames, forms to ourselves only."""


@dataclass(frozen=True)
class Page:
    """A page to show. ``cookie`` is set for the browser when it is not empty."""

    html: str
    status: int = 200
    cookie: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def render(template: str, **values: object) -> str:
    """Return the HTML of a template; every value is escaped."""
    return _environment.get_template(template).render(style=STYLE, **values)


GOOD, WARN = "good", "warn"
"""What kind of news a page brings: its mark says so beside the words."""


def message(title: str, text: str, kind: str = WARN) -> str:
    """Return the HTML of a page that only tells something."""
    return render("message.html", title=title, text=text, kind=kind)

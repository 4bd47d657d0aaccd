"""Pages for people: HTML without scripts, from the templates in ``pages``, and their headers."""

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
_style_hash = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_style_hash}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
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

"""The start page, the root certificate, and the health check.

The pages need no token: they hold nothing but the public names of this cloud and its root
certificate, which everybody must be able to read before they can trust anything.
"""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from landbridge_server.config import Endpoints
from landbridge_server.store import settings
from landbridge_server.store.database import Database

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
TEMPLATES = Path(__file__).parent / "templates"


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 fingerprint as people compare it: upper-case pairs with colons."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


class PortalHttp:
    """The handlers of the pages."""

    def __init__(self, db: Database, endpoints: Endpoints, root: x509.Certificate) -> None:
        """Take what the pages show."""
        self.db = db
        self.endpoints = endpoints
        self.root = root
        templates = Environment(
            loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined
        )
        self.start_page = templates.get_template("start.html")

    async def start(self, request: Request) -> Response:
        """Show what this is and how to go on."""
        text = self.start_page.render(endpoints=self.endpoints, fingerprint=fingerprint(self.root))
        return HTMLResponse(text, headers={"content-security-policy": POLICY})

    async def root_certificate(self, request: Request) -> Response:
        """Hand out the root certificate as PEM."""
        pem = self.root.public_bytes(serialization.Encoding.PEM)
        headers = {"content-disposition": 'attachment; filename="landbridge-root.pem"'}
        return Response(pem, media_type="application/x-pem-file", headers=headers)

    async def health(self, request: Request) -> Response:
        """Answer 200 while requests can be served: the store answers a read."""
        self.db.read(lambda connection: settings.get(connection, "health"))
        return JSONResponse({"status": "Healthy"})

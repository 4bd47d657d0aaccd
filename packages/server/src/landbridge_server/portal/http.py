"""The start page, the root certificate, what machines install, image aliases, and the health check.

They need no token: they hold nothing but the public names of this cloud and its root
certificate, which everybody must be able to read before they can trust anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from landbridge_server.arm.cloud_metadata import MIRROR
from landbridge_server.ca.authority import CertificateAuthority
from landbridge_server.config import Config
from landbridge_server.portal import image_aliases, installing
from landbridge_server.portal.downloads import COMMAND_TREE, Download, Downloads, extension_index
from landbridge_server.portal.trust_scripts import TrustScripts, fingerprint
from landbridge_server.store import settings
from landbridge_server.store.database import Database
from landbridge_wire.errors import ArmError

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
_NO_PACKAGES = (
    "This control plane was started without the agent's packages. Its operator builds them with "
    "'tools/build_downloads.py' and starts it again."
)

TEMPLATES = Path(__file__).parent / "templates"


def _page(text: str) -> Response:
    return HTMLResponse(text, headers={"content-security-policy": POLICY})


def _download(content: str | bytes, name: str, media_type: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)


def _one_of(files: Sequence[Download], name: str) -> Response:
    for one in files:
        if one.name == name:
            return _download(one.content, one.name, "application/octet-stream")
    raise ArmError("NotFound", "There is no such file here; the list beside it says what there is.")


class PortalHttp:
    """The handlers of the pages."""

    def __init__(self, db: Database, config: Config, authority: CertificateAuthority) -> None:
        """Take what the pages show."""
        self.db = db
        self.config = config
        self.endpoints = config.endpoints
        self.authority = authority
        self.templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
        )
        self.start_page = self.templates.get_template("start.html")
        self.downloads = Downloads()
        self.follow()

    def follow(self) -> None:
        """Make anew what holds the root certificates: the pages and scripts."""
        authority = self.authority
        self.roots = authority.roots
        self.trusting = TrustScripts(self.templates, self.config, self.roots)
        self.install_text = installing.script(self.templates, self.config, authority.bundle, self.downloads)

    async def start(self, request: Request) -> Response:
        """Show what this is and how to go on."""
        shown = [fingerprint(one) for one in self.roots]
        return _page(self.start_page.render(endpoints=self.endpoints, fingerprints=shown))

    async def root_certificate(self, request: Request) -> Response:
        """Hand out the root certificates as PEM: two while one takes the place of the other."""
        return _download(self.authority.bundle, "landbridge-root.pem", "application/x-pem-file")

    async def root_certificate_der(self, request: Request) -> Response:
        """Hand out the current root certificate as DER, in a file that Windows knows."""
        return self._der(0, "landbridge-root.cer")

    async def other_root_certificate_der(self, request: Request) -> Response:
        """Hand out the other root of a rotation as DER: such a file holds one certificate."""
        if len(self.roots) < 2:
            raise ArmError("NotFound", "This cloud has one root certificate: /ca.cer.")
        return self._der(1, "landbridge-other-root.cer")

    def _der(self, number: int, name: str) -> Response:
        der = self.roots[number].public_bytes(serialization.Encoding.DER)
        return _download(der, name, "application/pkix-cert")

    async def trust(self, request: Request) -> Response:
        """Show how to trust the root, and what to compare first."""
        return _page(self.trusting.page)

    async def trust_script(self, request: Request) -> Response:
        """Hand out a script for one system; the table has a row for each."""
        name = request.url.path.rpartition("/")[2]
        return _download(self.trusting.scripts[name], f"landbridge-trust-{name}", "text/plain")

    async def install_script(self, request: Request) -> Response:
        """Hand out the script that installs the agent on Linux."""
        if self.install_text is None:
            raise ArmError("NotFound", _NO_PACKAGES)
        return _download(self.install_text, installing.SCRIPT, "text/plain")

    async def agent_packages(self, request: Request) -> Response:
        """List the packages of the agent with their digests."""
        return JSONResponse(installing.listing(self.downloads, self.endpoints.resource_manager))

    async def agent_package(self, request: Request) -> Response:
        """Hand out one of them."""
        return _one_of(self.downloads.agents, request.path_params["name"])

    async def extension_index(self, request: Request) -> Response:
        """List the extensions of az that this cloud has."""
        return JSONResponse(extension_index(self.downloads, self.endpoints.resource_manager + MIRROR))

    async def extension_tree(self, request: Request) -> Response:
        """Say which extension has which command."""
        return JSONResponse(COMMAND_TREE)

    async def extension(self, request: Request) -> Response:
        """Hand out the wheel of an extension."""
        found = self.downloads.extension
        return _one_of([found] if found else [], request.path_params["name"])

    async def image_aliases(self, request: Request) -> Response:
        """Hand out the document of VM image aliases."""
        return JSONResponse(self.db.read(image_aliases.read))

    async def health(self, request: Request) -> Response:
        """Answer 200 while requests can be served: the store answers a read."""
        self.db.read(lambda connection: settings.get(connection, "health"))
        return JSONResponse({"status": "Healthy"})

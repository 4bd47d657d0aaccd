"""THE table of routes: every URL of the control plane, which function answers, who may ask.

Paths are matched in lower case with empty segments dropped. Anything below the resource
manager's own prefixes goes to one function each: which resource it is about is decided by
the registry of resource types, not here. The relay's ``/$hc/`` is served beside this table,
by the listener.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from landbridge_server.arm.activity import Activity
from landbridge_server.arm.cloud_metadata import MIRROR
from landbridge_server.arm.http import ArmHttp, CloudMetadataHttp
from landbridge_server.config import Endpoints
from landbridge_server.edge import answers
from landbridge_server.edge.gate import Gate
from landbridge_server.edge.route import Access, Bearer, Endpoint, Handler, Public, Table
from landbridge_server.fleet.extension_http import ExtensionHttp
from landbridge_server.fleet.http import FleetHttp
from landbridge_server.fleet.work_http import WorkHttp
from landbridge_server.identity.authentication import Authenticator
from landbridge_server.identity.http import IdentityHttp
from landbridge_server.microsoft_graph.http import VERSION, GraphHttp
from landbridge_server.portal.http import PortalHttp
from landbridge_server.portal.installing import SCRIPT
from landbridge_server.portal.trust_scripts import SCRIPTS
from landbridge_wire import agent_api, work_api

REST = "/{rest:path}"
SMALL = 64 * 1024
FACTS = 256 * 1024
REPORT = 1024 * 1024


class Parts(Protocol):
    """What the table needs: one object for each kind of handler."""

    arm: ArmHttp
    metadata: CloudMetadataHttp
    identity: IdentityHttp
    graph: GraphHttp
    fleet: FleetHttp
    extensions: ExtensionHttp
    work: WorkHttp
    portal: PortalHttp
    endpoints: Endpoints
    authenticator: Authenticator
    activity: Activity


def table(parts: Parts) -> Table:
    """Return the whole table."""
    arm = Bearer(parts.endpoints.audiences)
    extensions = Public("az installs extensions without a token")
    machine = Bearer(frozenset({agent_api.AUDIENCE}), machines_only=True)
    resources = {
        method: Endpoint(parts.arm.handle, arm, notes=True)
        for method in ("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE")
    }
    rows: Table = {
        # The resource manager
        "/subscriptions": resources,
        "/subscriptions" + REST: resources,
        "/providers": resources,
        "/providers" + REST: resources,
        "/tenants": resources,
        "/batch": {"POST": Endpoint(parts.arm.batch, arm)},
        "/metadata/endpoints": {
            "GET": Endpoint(parts.metadata.handle, Public("clients discover a cloud before they sign in"))
        },
        # The agent API
        agent_api.ENROLLMENTS: {"POST": _noted(parts.fleet.enroll, arm, "enroll")},
        agent_api.WITHDRAWALS: {"POST": _noted(parts.fleet.withdraw, arm, "withdraw")},
        agent_api.RECONNECTS: {"POST": _noted(parts.fleet.reconnect, arm, "reconnect")},
        agent_api.REJOINS: {
            "POST": _noted(parts.fleet.rejoin, Public("the machine proves its own key"), "rejoin")
        },
        agent_api.CERTIFICATES: {"POST": _noted(parts.fleet.renew, machine, "renew")},
        agent_api.SESSION: {"POST": Endpoint(parts.fleet.session, machine, SMALL, no_store=True)},
        agent_api.HEARTBEAT: {"POST": Endpoint(parts.fleet.heartbeat, machine, SMALL)},
        agent_api.INSTANCE: {"GET": Endpoint(parts.fleet.instance, machine, SMALL)},
        agent_api.FACTS: {"PUT": Endpoint(parts.fleet.facts, machine, FACTS)},
        work_api.EXTENSION_PACKAGE: {"GET": Endpoint(parts.extensions.package, machine, SMALL)},
        work_api.EXTENSION_CONTENT: {"GET": Endpoint(parts.extensions.content, machine, SMALL)},
        work_api.WORK: {"POST": Endpoint(parts.work.fetch, machine, SMALL, no_store=True)},
        work_api.WORK_REPORT: {"POST": Endpoint(parts.work.report, machine, FACTS)},
        work_api.WORK_OUTPUT: {"POST": Endpoint(parts.work.output, machine, work_api.OUTPUT_CHUNK)},
        _lower(work_api.ASSIGNMENTS): {
            "GET": Endpoint(parts.work.assignments, machine, SMALL, no_store=True)
        },
        _lower(work_api.ASSIGNMENT_REPORT): {"PUT": Endpoint(parts.work.assignment_report, machine, REPORT)},
        # Pages
        "/": {"GET": Endpoint(parts.portal.start, Public("the next steps, without any secret"))},
        "/ca.pem": {"GET": Endpoint(parts.portal.root_certificate, Public("a root certificate is public"))},
        "/ca.cer": {
            "GET": Endpoint(parts.portal.root_certificate_der, Public("a root certificate is public"))
        },
        "/ca-other.cer": {
            "GET": Endpoint(parts.portal.other_root_certificate_der, Public("a root certificate is public"))
        },
        "/trust": {"GET": Endpoint(parts.portal.trust, Public("read before anything can be trusted"))},
        **{
            f"/trust/{name}": {
                "GET": Endpoint(parts.portal.trust_script, Public("run before anything can be trusted"))
            }
            for name in SCRIPTS
        },
        f"/{SCRIPT}": {
            "GET": Endpoint(parts.portal.install_script, Public("machines install before they sign in"))
        },
        "/agent/packages.json": {
            "GET": Endpoint(parts.portal.agent_packages, Public("machines install before they sign in"))
        },
        "/agent/{name}": {
            "GET": Endpoint(parts.portal.agent_package, Public("machines install before they sign in"))
        },
        f"{MIRROR}/extensions/index.json": {"GET": Endpoint(parts.portal.extension_index, extensions)},
        f"{MIRROR}/extensions/extensioncommandtree.json": {
            "GET": Endpoint(parts.portal.extension_tree, extensions)
        },
        MIRROR + "/extensions/{name}": {"GET": Endpoint(parts.portal.extension, extensions)},
        "/aliases.json": {
            "GET": Endpoint(parts.portal.image_aliases, Public("az reads image aliases without a token"))
        },
        "/healthz": {"GET": Endpoint(parts.portal.health, Public("load balancers carry no token"))},
    }
    # The directory: "/graph" of the one origin, or a name of its own, where paths begin with the version
    graph = Bearer(parts.endpoints.graph_audiences)
    rows[(parts.graph.prefix or f"/{VERSION}") + REST] = {
        method: Endpoint(parts.graph.handle, graph, FACTS, no_store=True) for method in GraphHttp.METHODS
    }
    _add_sign_in(rows, parts.identity)
    return rows


def _lower(pattern: str) -> str:
    """Return a path as rows spell it; the names in braces are in lower case anyway."""
    return pattern.lower()


def _noted(handler: Handler, access: Access, name: str) -> Endpoint:
    """Return the endpoint of what changes a machine's identity: the activity log holds each."""
    return Endpoint(handler, access, SMALL, action=f"Microsoft.HybridCompute/machines/{name}/action")


def _add_sign_in(rows: Table, identity: IdentityHttp) -> None:
    """Add the token service: public by its nature, bounded bodies, never stored."""
    reads = Public("discovery: a client reads it before it can sign in")
    proves = Public("sign-in: the request itself proves who asks")
    page = Public("sign-in: a page for people")
    # The last: az of the AD FS style finds the id of a tenant that goes by its domain.
    for prefix in ("/{tenant}/v2.0", "/{tenant}", "/adfs/{tenant}/v2.0"):
        rows[f"{prefix}/.well-known/openid-configuration"] = {
            "GET": Endpoint(identity.openid_configuration, reads)
        }
    for version in ("/v2.0", ""):
        rows["/{tenant}/discovery" + version + "/keys"] = {"GET": Endpoint(identity.keys, reads)}
        oauth = "/{tenant}/oauth2" + version
        rows[oauth + "/token"] = {"POST": Endpoint(identity.token, proves, SMALL, no_store=True)}
        rows[oauth + "/devicecode"] = {
            "POST": Endpoint(identity.device_authorization, proves, SMALL, no_store=True)
        }
        rows[oauth + "/authorize"] = {
            "GET": Endpoint(identity.authorize, page, no_store=True),
            "POST": Endpoint(identity.authorize_post, page, SMALL, no_store=True),
        }
    rows["/common/userrealm/{user}"] = {"GET": Endpoint(identity.user_realm, reads)}
    rows["/devicelogin"] = {
        "GET": Endpoint(identity.device_page_get, page, no_store=True),
        "POST": Endpoint(identity.device_page_post, page, SMALL, no_store=True),
    }


class _NothingHere:
    """Answers what no row has: 404, but on the portal's own name its page with the next steps."""

    def __init__(self, parts: Parts) -> None:
        names = parts.endpoints
        own = names.portal != names.resource_manager
        self.portal_host = (urlsplit(names.portal).hostname or "") if own else ""
        self.start = Gate(
            {"GET": Endpoint(parts.portal.start, Public("the next steps"))},
            parts.authenticator,
            parts.activity,
            "/",
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = Headers(scope=scope).get("host", "").lower().partition(":")[0]
        if self.portal_host and host == self.portal_host and scope["method"] == "GET":
            await self.start(scope, receive, send)
        else:
            await answers.not_found(str(scope.get("landbridge.path", scope["path"])))(scope, receive, send)


class _Routing:
    """Finds the row of a path: the prefixes that end in ``{rest:path}`` first, then Starlette's order."""

    def __init__(self, parts: Parts) -> None:
        rows = {
            path: Gate(methods, parts.authenticator, parts.activity, path)
            for path, methods in table(parts).items()
        }
        self.prefixes = {
            path.removesuffix(REST)[1:]: gate for path, gate in rows.items() if path.endswith(REST)
        }
        routes = [Route(path, endpoint=gate) for path, gate in rows.items()]
        self.others = Router(routes=routes, default=_NothingHere(parts), redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, _, path = scope["path"].partition("/")
        first, slash, _ = path.partition("/")
        gate = self.prefixes.get(first) if slash else None
        await (gate or self.others)(scope, receive, send)


def router(parts: Parts) -> ASGIApp:
    """Return the application that answers by the table, with the gate before every row."""
    return _Routing(parts)

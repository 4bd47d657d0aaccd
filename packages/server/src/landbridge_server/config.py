"""What an operator decides, as one frozen value, and the names that follow from it.

Nothing here reads the clock or the environment, nor files but one for a secret: ``cli`` fills
``Config`` in.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
"""Names that the server certificate always covers."""


class ConfigError(ValueError):
    """A setting cannot be used; the text says which and why."""


@dataclass(frozen=True)
class Address:
    """A host and a port, as given by ``HOST:PORT``; IPv6 hosts stand in brackets."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether nobody on another host can reach it."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        """Return ``host:port``, with brackets around an IPv6 host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read ``HOST:PORT``.

    Raises:
        ConfigError: no port, one outside 0 to 65535, or an IPv6 address without brackets.
    """
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    usable = colon and port.isascii() and port.isdigit() and int(port) <= 65535
    if not usable or not bare or not set(bare).isdisjoint(" /@[]") or (":" in bare and bare == host):
        raise ConfigError(f"'{text}' is not HOST:PORT, such as 127.0.0.1:9443 or [::1]:9443.")
    return Address(bare, int(port))


def _origin(url: str) -> str:
    """Return scheme, host and port of a URL in lower case, without a path."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises where it is no port
    except ValueError as error:
        raise ConfigError(f"'{url}' is not a URL: {error}.") from error
    if parts.scheme.lower() != "https" or not parts.hostname or "@" in parts.netloc:
        raise ConfigError(f"'{url}' is not https://HOST:PORT. Landbridge is served over HTTPS only.")
    if parts.path.strip("/") or parts.query:
        raise ConfigError(f"'{url}' must not have a path: clients append their own.")
    return f"https://{parts.netloc.lower()}"


def split_relay_host(relay: str) -> tuple[str, str]:
    """Split a relay host at its first dot into namespace and suffix.

    A name without a dot cannot be split: ``localhost`` becomes ``127`` and ``0.0.1``. The
    suffix carries ``:port`` unless it is 443.
    """
    host, _, port = relay.rpartition(":")
    host = "127.0.0.1" if "." not in host else host
    namespace, _, suffix = host.partition(".")
    return namespace, suffix if port == "443" else f"{suffix}:{port}"


@dataclass(frozen=True)
class Endpoints:
    """The names under which clients reach the control plane; none ends in ``/``."""

    resource_manager: str
    admin_resource_manager: str
    login: str
    adfs: str
    graph: str
    portal: str
    relay: str
    audience: str
    extra_audiences: tuple[str, ...] = ()

    @cached_property
    def audiences(self) -> frozenset[str]:
        """Every audience that ARM accepts, each with and without a final ``/``."""
        bare = {self.audience, self.resource_manager, self.admin_resource_manager, *self.extra_audiences}
        return frozenset(name for one in bare for name in (one.rstrip("/"), one.rstrip("/") + "/"))

    @cached_property
    def graph_audiences(self) -> frozenset[str]:
        """Every audience that the directory's API accepts.

        Where it is served at the resource manager's own origin, that one's too: az takes the
        address for the resource manager's.
        """
        own = frozenset({self.graph.rstrip("/"), self.graph.rstrip("/") + "/"})
        shared = urlsplit(self.graph).netloc == urlsplit(self.resource_manager).netloc
        return own | self.audiences if shared else own

    @property
    def relay_namespace(self) -> str:
        """The relay host before its first dot."""
        return split_relay_host(self.relay)[0]

    @property
    def relay_suffix(self) -> str:
        """The relay host after its first dot, with its port unless that is 443."""
        return split_relay_host(self.relay)[1]


@dataclass(frozen=True)
class Config:
    """The settings of one control plane."""

    data: Path
    listen: Address = Address("127.0.0.1", 9443)
    external_url: str = ""
    domain: str = ""
    locations: tuple[str, ...] = ("local",)
    identity_provider: str = "aad"
    relay_listen: Address | None = None
    relay_host: str = ""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    audiences: tuple[str, ...] = ()
    store: str = field(default="", repr=False)  # may hold a password
    node_url: str = ""
    requests_per_second: float = 2000.0
    """What one caller may read from the resource manager; 0: as much as it likes."""
    metrics_listen: Address | None = None
    metrics_token_file: Path | None = None

    signing_key_days: float = 90.0
    """After so many days another key signs tokens; 0: only when an operator says so."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks (CIDR) of reverse proxies that may say who a caller is."""

    return_grace_days: float = 365.0
    """How long after its certificate's end a machine may come back by itself with that key."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, before anything is opened."""
        if self.identity_provider not in ("aad", "adfs"):
            raise ConfigError(f"--identity-provider is aad or adfs, not '{self.identity_provider}'.")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigError("--tls-cert and --tls-key go together.")
        if not self.locations or not all(self.locations):
            raise ConfigError("--locations needs at least one name, such as 'local'.")
        if self.domain and not re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", self.domain):
            raise ConfigError(f"--domain '{self.domain}' is not a name such as local.azurestack.external.")
        if self.relay_host:
            parse_address(self.relay_host)
        if self.node_url:
            _origin(self.node_url)
        if self.metrics_listen and not self.metrics_listen.loopback and not self.metrics_token_file:
            raise ConfigError(
                f"--metrics-listen {self.metrics_listen} can be reached from elsewhere: "
                "give --metrics-token-file, too, or listen on 127.0.0.1."
            )
        if not 0 <= self.requests_per_second < float("inf"):
            raise ConfigError("--requests-per-second is a number from 0, which means no limit.")
        if not 0 <= self.signing_key_days <= 3650:
            raise ConfigError("--signing-key-days is a number from 0, which means never, to 3650.")
        for proxy in self.trusted_proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError as error:
                raise ConfigError(
                    f"--trusted-proxy is an address (10.0.0.7) or a network (10.0.0.0/29): {error}."
                ) from error
        if not 0 <= self.return_grace_days <= 3650:
            raise ConfigError("--return-grace-days is a number from 0 to 3650.")

    @property
    def database_url(self) -> str:
        """The URL of the store: what the operator gave, else the embedded one below ``data``."""
        return self.store or f"sqlite:///{self.data / 'landbridge.db'}"

    def metrics_token(self) -> bytes:
        """Return the token that metrics ask for; empty: none.

        Raises:
            ConfigError: the file cannot be read, or holds too little to be a secret.
        """
        if self.metrics_token_file is None:
            return b""
        try:
            token = self.metrics_token_file.read_bytes().strip()
        except OSError as error:
            raise ConfigError(f"--metrics-token-file cannot be read: {error}") from error
        if not 16 <= len(token) <= 1024 or len(token.split()) != 1:
            raise ConfigError("--metrics-token-file must hold one word of 16 to 1024 characters.")
        return token

    @property
    def rendezvous_base(self) -> str:
        """Where machines reach this very node, ``wss://host:port``; empty when all names lead here."""
        return _origin(self.node_url).replace("https://", "wss://", 1) if self.node_url else ""

    @cached_property
    def endpoints(self) -> Endpoints:
        """The names that follow from ``external_url`` or ``domain``."""
        if self.domain and not self.external_url:
            return self._domain_endpoints()
        host = "localhost" if self.listen.host in (*LOCAL_NAMES, "0.0.0.0", "::") else self.listen.host  # noqa: S104
        base = _origin(self.external_url or f"https://{Address(host, self.listen.port)}")
        return Endpoints(
            resource_manager=base,
            admin_resource_manager=base,
            login=base,
            adfs=base + "/adfs",
            graph=base + "/graph",
            portal=base,
            relay=self._relay(urlsplit(base).hostname or host, urlsplit(base).port or 443),
            audience=base,
            extra_audiences=self.audiences,
        )

    def _domain_endpoints(self) -> Endpoints:
        port = "" if self.listen.port == 443 else f":{self.listen.port}"
        names = {
            word: f"https://{word}.{self.domain.lower()}{port}"
            for word in ("management", "adminmanagement", "login", "adfs", "graph", "portal")
        }
        return Endpoints(
            resource_manager=names["management"],
            admin_resource_manager=names["adminmanagement"],
            login=names["login"],
            adfs=names["adfs"] + "/adfs",
            graph=names["graph"],
            portal=names["portal"],
            relay=self._relay(f"relay.{self.domain.lower()}", self.listen.port),
            audience=names["management"],
            extra_audiences=self.audiences,
        )

    def _relay(self, host: str, port: int) -> str:
        if self.relay_host:
            return self.relay_host
        own = self.relay_listen or self.listen
        if ":" in host or (host == "localhost" and own.host == "::1"):
            raise ConfigError(
                "Clients build the relay's name from two parts around a dot, which an IPv6 address has not: "
                "give a name with --relay-host NAME:PORT."
            )
        return str(Address(host, self.relay_listen.port if self.relay_listen else port))

    def server_names(self) -> tuple[str, ...]:
        """Return every host name and address that the server certificate must cover."""
        urls = (
            self.endpoints.resource_manager,
            self.endpoints.admin_resource_manager,
            self.endpoints.login,
            self.endpoints.adfs,
            self.endpoints.graph,
            self.endpoints.portal,
            f"https://{self.endpoints.relay}",
            self.node_url,
        )
        found = [*LOCAL_NAMES, *(urlsplit(url).hostname or "" for url in urls)]
        if self.domain:
            found += [f"{word}.{self.domain.lower()}" for word in ("management", "login", "adfs", "portal")]
        return tuple(dict.fromkeys(name for name in found if name))

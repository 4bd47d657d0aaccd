"""Start the control plane and serve until it is told to stop.

The first start makes everything: certificate authority, keys, database, a tenant, a
subscription, an administrator, and DIR/admin.json with the credentials. Later starts
resume the same cloud. A line 'ready https://...' says that requests are answered.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import time
from pathlib import Path

import uvloop

from landbridge_server.app import serve
from landbridge_server.app.supervision import Supervisor
from landbridge_server.ca.authority import CaError
from landbridge_server.cli import descriptors, started
from landbridge_server.cli.arguments import CommandError, add_data, add_store, store_url
from landbridge_server.cli.folder_lock import alone
from landbridge_server.cli.memory import keep_freed
from landbridge_server.config import Address, Config, ConfigError, parse_address
from landbridge_server.edge.log import FORMATS, JSON, configure
from landbridge_server.store import postgresql
from landbridge_server.store.database import StoreUnavailable

logger = logging.getLogger("landbridge")

EXAMPLES = """examples:
  landbridge up
  landbridge up --data /var/lib/landbridge --listen 0.0.0.0:443 --external-url https://cloud.example.org
  landbridge up --listen 127.0.0.1:443 --domain local.azurestack.external --identity-provider adfs
  landbridge up --relay-listen 0.0.0.0:444 --relay-host relay.example.org:444
  landbridge up --store postgresql://landbridge@db.example.org/landbridge --node-url https://node1.example.org
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the settings of the control plane."""
    add_data(parser)
    add_store(parser)
    parser.add_argument(
        "--listen", default="127.0.0.1:9443", metavar="HOST:PORT", help="default: 127.0.0.1:9443"
    )
    parser.add_argument(
        "--external-url", default="", metavar="URL", help="how clients reach it (https://host:port)"
    )
    parser.add_argument(
        "--domain", default="", metavar="NAME", help="serve as management.NAME, login.NAME, ..."
    )
    parser.add_argument("--locations", default="local", metavar="A,B", help="location names (default: local)")
    parser.add_argument(
        "--identity-provider", choices=("aad", "adfs"), default="aad", help="announced sign-in style"
    )
    parser.add_argument("--relay-listen", metavar="HOST:PORT", help="a port of its own for the relay")
    parser.add_argument("--relay-host", default="", metavar="HOST:PORT", help="how clients reach the relay")
    parser.add_argument(
        "--node-url",
        default="",
        metavar="URL",
        help="how machines reach this node, if there are several",
    )
    parser.add_argument(
        "--tls-cert", type=Path, metavar="FILE", help="your own server certificate chain (PEM)"
    )
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key (PEM)")
    parser.add_argument(
        "--audience",
        action="append",
        default=[],
        metavar="URI",
        help="a further accepted token audience (repeatable)",
    )
    parser.add_argument(
        "--requests-per-second",
        type=float,
        default=Config.requests_per_second,
        metavar="N",
        help="requests of one caller: reads, and half as many writes and deletes (default: 2000; 0: any)",
    )
    parser.add_argument(
        "--return-grace-days",
        type=float,
        default=Config.return_grace_days,
        metavar="N",
        help="how long a machine with an expired certificate may come back by itself (default: 365)",
    )
    parser.add_argument(
        "--signing-key-days",
        type=float,
        default=Config.signing_key_days,
        metavar="N",
        help="another key signs tokens after so many days (default: 90; 0: never)",
    )
    parser.add_argument(
        "--trusted-proxy",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="believe X-Forwarded-For from this address or network (repeatable; default: from nobody)",
    )
    parser.add_argument(
        "--metrics-listen",
        metavar="HOST:PORT",
        help="serve /metrics for Prometheus there (default: nowhere); plain HTTP on loopback, else TLS",
    )
    parser.add_argument(
        "--metrics-token-file",
        type=Path,
        metavar="FILE",
        help="the bearer token that /metrics asks for; needed where --metrics-listen is not loopback",
    )
    parser.add_argument(
        "--log-level", choices=("debug", "info", "warning"), default="info", help="default: info"
    )
    parser.add_argument(
        "--log-format", choices=FORMATS, default=JSON, help="of the log on standard error (default: json)"
    )


def config_of(options: argparse.Namespace) -> Config:
    """Return the settings of a command line.

    Raises:
        ConfigError: one of them cannot be used.
    """
    relay: Address | None = parse_address(options.relay_listen) if options.relay_listen else None
    return Config(
        data=options.data.absolute(),
        listen=parse_address(options.listen),
        external_url=options.external_url,
        domain=options.domain,
        locations=tuple(name.strip() for name in options.locations.split(",")),
        identity_provider=options.identity_provider,
        relay_listen=relay,
        relay_host=options.relay_host,
        tls_cert=options.tls_cert,
        tls_key=options.tls_key,
        audiences=tuple(options.audience),
        store=_store(options),
        node_url=options.node_url,
        requests_per_second=options.requests_per_second,
        signing_key_days=options.signing_key_days,
        trusted_proxies=tuple(options.trusted_proxy),
        return_grace_days=options.return_grace_days,
        metrics_listen=parse_address(options.metrics_listen) if options.metrics_listen else None,
        metrics_token_file=options.metrics_token_file.absolute() if options.metrics_token_file else None,
    )


def _defaults() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([])


def _store(options: argparse.Namespace) -> str:
    url = store_url(options)
    if url:
        try:
            postgresql.parsed(url)
        except StoreUnavailable as error:
            raise ConfigError(str(error)) from error
    return url


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    config = config_of(options)
    # Everything that is written from here on is for the owner only, unless it says otherwise.
    os.umask(0o077)
    configure(options.log_level, options.log_format)
    try:
        config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        keep_freed()
        files = descriptors.raised()
        if told := descriptors.warning(files):
            logger.warning(told)
        with alone(config.data), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            started.note(config.data, options, _defaults())
            supervisor = Supervisor.of(os.environ, os.getpid())  # noqa: TID251 - this is the main()
            runner.run(serve(config, time.time, descriptors.room(files), supervisor))  # noqa: TID251
    except ConfigError:
        raise
    except (OSError, ValueError, CaError, StoreUnavailable) as error:  # ValueError: an unreadable key
        raise CommandError(f"The control plane cannot start: {error}") from error
    return 0

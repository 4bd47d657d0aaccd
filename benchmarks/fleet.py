"""Many machines: heartbeats on the control channel, a storm of reconnections, onboarding, tokens."""

from __future__ import annotations

import json
import resource
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from sqlalchemy import func, select

from benchmarks.cloud import Cloud
from benchmarks.crowd import AT_ONCE, Crowd
from benchmarks.load import Ask, Load, Run, best
from benchmarks.measuring import Effort, cpu_seconds, memory_kib
from benchmarks.report import Goal, Table, number
from benchmarks.seed import principal_ids
from landbridge_server.ca.keyring import open_secret
from landbridge_server.relay.credentials import RelayCredentials
from landbridge_server.relay.names import hybrid_connection_path
from landbridge_server.store.database import Database
from landbridge_server.store.schema import presence
from landbridge_wire.agent_api import ENROLLMENTS
from running import ENVIRONMENT  # noqa: F401 - the path of the tests' parts must be there

BEATS = 10
SETTLE_SECONDS = 2.0
GONE_SECONDS = 10.0
"""How long the server may take to note that all agents have left."""
SPARE_FILES = 1_000


def tables(store: str, effort: Effort) -> list[Table]:
    """Measure and return the tables."""
    count = min(effort.agents, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES)
    with Cloud(store, count) as cloud:
        return [_crowd(cloud, count, effort), _crypto(cloud, effort)]


def members(cloud: Cloud, count: int) -> list[tuple[str, str]]:
    """Return the hybrid connections of ``count`` machines, each with a listen token."""
    relay = RelayCredentials(open_secret(cloud.data / "keys/relay.key"), cloud.config.endpoints.relay)
    paths = [hybrid_connection_path(principal) for _, principal in principal_ids(cloud.database_url)[:count]]
    return [(path, relay.listen_credentials(path, 3600, time.time())[0]) for path in paths]


def beats(cloud: Cloud, crowd: Crowd, count: int, each: int) -> tuple[float, float]:
    """Return heartbeats per second until all are on the disk, and the server's CPU us for one."""
    started, before = time.time(), cpu_seconds(cloud.pids)
    crowd.order(f"beat {each}")
    answered = time.time()
    db = Database(cloud.database_url)
    try:
        wanted = select(func.count()).select_from(presence).where(presence.c.last_seen >= started)
        while True:
            with db.reading() as connection:
                if connection.execute(wanted).scalar_one() >= count:
                    break
            if time.time() - answered > 60:
                raise TimeoutError("The heartbeats do not reach the disk.")
            time.sleep(0.02)
    finally:
        db.close()
    total = count * each
    return total / (time.time() - started), (cpu_seconds(cloud.pids) - before) * 1e6 / total


def _crowd(cloud: Cloud, count: int, effort: Effort) -> Table:
    pid = cloud.child.process.pid
    idle = memory_kib(pid)
    crowd = Crowd(cloud.port, members(cloud, count), cloud.data)
    try:
        crowd.order("open")
        time.sleep(SETTLE_SECONDS)
        each = (memory_kib(pid) - idle) / count
        storms: list[tuple[float, float]] = []
        rates: list[tuple[float, float]] = []
        for _ in range(effort.rounds):
            rates.append(beats(cloud, crowd, count, BEATS))
            crowd.order("drop")
            time.sleep(SETTLE_SECONDS)
            before = cpu_seconds([pid])
            wall = crowd.order("open")
            storms.append((cpu_seconds([pid]) - before, wall))
    finally:
        crowd.stop()
        time.sleep(GONE_SECONDS)
    rate, used = max(rates)
    storm, wall = min(storms)
    table = Table(f"{count:,} agents in one process, TLS", ("What", "Figure"))
    table.rows = [
        ["heartbeats answered on the control channel and on the disk, per second", number(rate)],
        ["server CPU for one heartbeat", f"{number(used)} us: {number(1e6 / used)} per second of a core"],
        ["all agents cut off come back: server CPU", f"{number(storm)} s"],
        ["the same, wall time", f"{number(wall)} s"],
        ["server memory for one connected agent", f"{number(each)} KiB"],
    ]
    table.notes = [
        f"{AT_ONCE} agents connect at a time, each with a full TLS 1.3 handshake. They are one other process "
        "on the same machine. Memory is resident, without the kernel's socket buffers.",
        "Agents keep their relay token for an hour: a reconnection is TLS, upgrade and token, without a "
        "sign-in.",
    ]
    scale = 10_000 / count
    table.goals = [
        Goal("Heartbeats on the control channel, durable, per second", rate, 15_000, True),
        Goal("10,000 agents reconnect: server CPU", storm * scale, 20, False, " s"),
        Goal("Connected agent with TLS", each, 45, False, " KiB"),
    ]
    return table


def _crypto(cloud: Cloud, effort: Effort) -> Table:
    loads = {
        "onboarding: CSR, certificate, row": _onboarding(cloud),
        "RS256 token, client secret": _tokens(cloud),
    }
    found: dict[str, Run] = {}
    for name, load in loads.items():
        load.run(1)
        found[name] = best([load.run(effort.seconds) for _ in range(effort.rounds)])
    table = Table(
        "Certificates and tokens", ("What", "server CPU us", "per second of a core", "seen, per second")
    )
    for name, run in found.items():
        table.rows.append([name, number(run.cpu), number(1e6 / run.cpu), number(run.rate)])
    enrolled, issued = (1e6 / min(run.cpu for run in [one]) for one in found.values())
    table.goals = [
        Goal("Onboarding, per second of the server's own time", enrolled, 800, True),
        Goal("RS256 tokens, per second of a core", issued, 850, True),
    ]
    table.notes = ["Over HTTPS, 16 connections kept open; the server's whole CPU time counts."]
    return table


def _onboarding(cloud: Cloud) -> Load:
    request = (
        x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(cloud.key, hashes.SHA256())
    )
    csr = request.public_bytes(serialization.Encoding.PEM).decode()
    keys = [key for key, _ in principal_ids(cloud.database_url)[:500]]
    body = [json.dumps({"resourceId": key, "certificateSigningRequest": csr}) for key in keys]
    headers = cloud.headers | {"Content-Type": "application/json"}
    return Load(cloud.url, [Ask("POST", ENROLLMENTS, one) for one in body], headers, cloud.pids)


def _tokens(cloud: Cloud) -> Load:
    admin = cloud.admin
    form = f"grant_type=client_credentials&client_id={admin.client_id}&client_secret={admin.client_secret}"
    form += f"&scope={admin.url}/.default".replace(":", "%3A").replace("/", "%2F")
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return Load(cloud.url, [Ask("POST", f"/{admin.tenant}/oauth2/v2.0/token", form)], headers, cloud.pids)

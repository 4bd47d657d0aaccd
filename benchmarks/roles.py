"""The authorization decision and the calls that rest on it, as role assignments become many."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from benchmarks import tokens
from benchmarks.cloud import Cloud
from benchmarks.load import CONNECTIONS, Ask, Load, Run, best
from benchmarks.measuring import Effort
from benchmarks.report import Goal, Table, number
from landbridge_server.arm.access import Access
from landbridge_server.arm.grants import grant
from landbridge_server.arm.roles import READER
from landbridge_server.identity import directory
from landbridge_server.identity.caller import Caller
from landbridge_server.store import groups, role_assignments, settings
from landbridge_server.store.database import Database
from landbridge_server.store.groups import Group
from landbridge_server.store.role_assignments import Assignment

QUESTIONS = 2_000
COLD = 300
GROUPS, DIRECT = 50, 10
BUSY = 500
BOUND = 100.0
CHANGED = "after a change of anybody's roles"
READ = "Microsoft.HybridCompute/machines/read"


@dataclass
class Member:
    """A service principal that holds what it holds by 50 groups, of which it is in 10."""

    object_id: str
    app_id: str
    secret: str
    group_ids: list[str]


def tables(store: str, effort: Effort) -> list[Table]:
    """Measure at each size and return the tables."""
    found: list[dict[str, float]] = []
    calls: list[dict[str, Run]] = []
    with Cloud(store, 1) as cloud:
        db = Database(cloud.database_url)
        few, many = (_member(db, cloud, name, roles) for name, roles in (("few", 0), ("many", BUSY)))
        others = 0
        for size in effort.sizes:
            others = _fill(db, cloud, size, others)
            found.append(_decisions(cloud, few, many))
            calls.append(_calls(cloud, few, effort))
        db.close()
    made = [_decision_table(store, effort, found), _call_table(store, effort, calls)]
    return [tokens.table(), *made]


# -- what is there


def _member(db: Database, cloud: Cloud, name: str, roles: int) -> Member:
    tenant = cloud.admin.tenant
    with db.writing() as connection:
        made = directory.create_service_principal(connection, tenant, name, time.time())
        ids = [str(uuid.uuid4()) for _ in range(GROUPS)]
        for number_, group_id in enumerate(ids):
            text = f"{name}-{number_}"
            groups.add(connection, Group(group_id, tenant, text, text, text, "{}", 0.0))
            groups.add_member(connection, group_id, made[0] if number_ < DIRECT else ids[number_ - DIRECT])
        _give(connection, cloud, ids[-1], f"{cloud.subscription}/resourceGroups/{_group_of(cloud)}")
        for number_ in range(roles):
            _give(connection, cloud, ids[number_ % GROUPS], f"{cloud.subscription}/resourceGroups/r{number_}")
    return Member(*made, ids)


def _group_of(cloud: Cloud) -> str:
    return cloud.path(0).split("/")[4]


def _give(connection: Connection, cloud: Cloud, holder: str, scope: str) -> None:
    grant(
        connection,
        tenant_id=cloud.admin.tenant,
        principal_id=holder,
        principal_type="Group",
        role=READER,
        scope=scope,
        now=0.0,
    )


def _fill(db: Database, cloud: Cloud, size: int, there: int) -> int:
    """Let there be ``size`` assignments of others, at the subscription and below it."""
    with db.writing() as connection:
        for number_ in range(there, size):
            scope = (
                cloud.subscription if number_ % 10 == 0 else f"{cloud.subscription}/resourceGroups/o{number_}"
            )
            key = f"other-{number_}"
            holder = str(uuid.UUID(int=number_ // 3 + 1))
            role_assignments.add(
                connection,
                Assignment(
                    key,
                    key,
                    scope,
                    scope.lower(),
                    cloud.admin.tenant,
                    READER.guid,
                    holder,
                    "User",
                    "",
                    0.0,
                    "",
                ),
            )
        if db.shared:
            connection.exec_driver_sql("ANALYZE")  # as autovacuum does within a minute
    return max(size, there)


# -- what is measured


def _decisions(cloud: Cloud, few: Member, many: Member) -> dict[str, float]:
    db = Database(cloud.database_url)
    try:
        with db.reading() as connection:
            admin = directory.service_principal(connection, cloud.admin.client_id)
        lone = Caller(admin.object_id, admin.tenant_id, admin.kind, "", "")
        callers = {
            "one role, at the root": lone,
            f"member of {GROUPS} groups, 1 role": _caller(cloud, few),
            f"member of {GROUPS} groups, {BUSY + 1} roles": _caller(cloud, many),
        }
        found = {}
        for name, caller in callers.items():
            found[name] = _question(db, cloud, caller, QUESTIONS, lambda: None)
            found[f"{name}; after a commit"] = _question(db, cloud, caller, COLD, lambda: _commit(db))
            found[f"{name}; {CHANGED}"] = _question(db, cloud, caller, COLD, lambda: _change(db, cloud))
        return found
    finally:
        db.close()


def _caller(cloud: Cloud, member: Member) -> Caller:
    return Caller(member.object_id, cloud.admin.tenant, "ServicePrincipal", "", member.app_id)


def _commit(db: Database) -> None:
    with db.writing() as connection:
        settings.put(connection, "benchmark", str(time.monotonic()))


def _change(db: Database, cloud: Cloud) -> None:
    with db.writing() as connection:
        _give(connection, cloud, str(uuid.uuid4()), f"{cloud.subscription}/resourceGroups/changed")


def _question(db: Database, cloud: Cloud, caller: Caller, count: int, before: Callable[[], None]) -> float:
    """Return what one question costs, in microseconds of CPU time of this process."""
    access, spent, scope = Access(db), 0.0, cloud.path(0)
    access.require(caller, READ, scope)
    for _ in range(count):
        before()
        started = time.thread_time()
        access.require(caller, READ, scope)
        spent += time.thread_time() - started
    return spent * 1e6 / count


def _calls(cloud: Cloud, member: Member, effort: Effort) -> dict[str, Run]:
    ask = [Ask("GET", cloud.versioned(0))]
    headers = {
        "the administrator": cloud.headers,
        f"a member of {GROUPS} groups": {
            "Authorization": f"Bearer {cloud.token(member.app_id, member.secret)}"
        },
    }
    found = {}
    for name, header in headers.items():
        load = Load(cloud.url, ask, header, cloud.pids, CONNECTIONS)
        load.run(1)
        found[name] = best([load.run(effort.seconds) for _ in range(effort.rounds)])
    return found


# -- tables


def _decision_table(store: str, effort: Effort, found: list[dict[str, float]]) -> Table:
    sizes = [f"{size:,}" for size in effort.sizes]
    table = Table(
        f"Authorization decision, {store.partition(':')[0]}",
        ("CPU us of one decision", *(f"{size} assignments" for size in sizes)),
    )
    for name in found[0]:
        table.rows.append([name, *(number(one[name]) for one in found)])
    table.goals = [
        Goal(f"{name}, {sizes[-1]} assignments", found[-1][name], BOUND, False, " us")
        for name in found[0]
        if CHANGED not in name
    ]
    table.notes = [
        f"The member is in {DIRECT} groups, each in another one, {GROUPS // DIRECT} deep: {GROUPS} in all. "
        "After a commit it is looked up whether anybody's roles changed. Other assignments lie at the "
        "subscription (one of ten) and at groups in it, three to a holder. In a process of its own, no HTTP.",
    ]
    return table


def _call_table(store: str, effort: Effort, calls: list[dict[str, Run]]) -> Table:
    sizes = [f"{size:,}" for size in effort.sizes]
    table = Table(
        f"Verified calls: GET of a machine, {store.partition(':')[0]}",
        ("Per second, and server CPU us", *(f"{size} assignments" for size in sizes)),
    )
    for name in calls[0]:
        cells = (f"{number(one[name].rate)}, {number(one[name].cpu)} us" for one in calls)
        table.rows.append([name, *cells])
    table.notes = [f"Over HTTPS, {CONNECTIONS} connections kept open; token, gate and one read."]
    return table

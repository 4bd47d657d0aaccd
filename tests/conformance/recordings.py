"""The replay of recorded traffic: the requests of a recording in order, each answer compared.

Compared with what the real service answered: the status; whether ``Azure-AsyncOperation`` and
``Location`` are there; the code of an error; every member of the JSON and its type, at any
depth. What may differ, and why:

- values, other than codes: names, times and ids are other ones here;
- further members of ours: every version is served in the newest shape (``type`` of groups,
  ``systemData``, empty ``tags``);
- members that are null, and ``authorization(s)``: the internals of Microsoft's own providers;
- the items of an array: each of ours must have what all recorded items have; only where the
  recording's own resource is among the recorded ones may ours not be empty;
- how often an operation is polled: ours may end sooner, then each poll is held against the
  last recorded one.

Resources of ``Microsoft.Network`` that a recording only locks, moves or addresses are played by
machines and their extensions; the requests that are about networks as such are sent to make and
remove the stand-ins, and not counted. What is not offered must say so, and is counted apart.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.conformance import openapi, scope
from tests.conformance.comparison import differences
from tests.conformance.prerequisites import MACHINE, RECIPES, report
from tests.conformance.world import Answered, World

POLLED = ("azure-asyncoperation", "location")
_NETWORK = re.compile(r"Microsoft\.Network/+(virtualNetworks|networkSecurityGroups)", re.IGNORECASE)
_STAND_IN = re.compile(r"/machines/[^/]+(/extensions/[^/]+)?$", re.IGNORECASE)
_UNCOUNTED = (
    (r"/exportTemplate$", "the export of a template"),
    (r"/providers/Microsoft\.Network/locations/", "polls an operation on a network"),
    (r"/providers/Microsoft\.Network/", "networks"),
)
_PROVIDERS = {
    "trendmicro.deepsecurity": "Microsoft.HybridConnectivity",
    "microsoft.network": "Microsoft.HybridCompute",
    "microsoft.compute": "Microsoft.HybridCompute",
    "microsoft.storage": "Microsoft.HybridConnectivity",
}
# As the recorder's own preparation made them.
_GROUP = {"location": "westus", "tags": {"product": "azurecli", "cause": "automation", "date": "2021-02-10"}}


@dataclass
class Step:
    """The outcome of one recorded request; ``left_out`` says why it does not count."""

    method: str
    path: str
    faults: list[str] = field(default_factory=list)
    left_out: str = ""
    not_offered: str = ""


@dataclass
class Outcome:
    """The outcome of one recording."""

    name: str
    steps: list[Step] = field(default_factory=list)

    @property
    def counted(self) -> list[Step]:
        """The steps that count."""
        return [one for one in self.steps if not one.left_out and not one.not_offered]

    @property
    def passed(self) -> int:
        """How many of them are as recorded."""
        return sum(1 for one in self.counted if not one.faults)


def in_scope() -> list[str]:
    """Return the names of the recordings that count and are there."""
    root = openapi.folder()
    return [] if root is None else [one for one in scope.RECORDINGS if _file(root, one).is_file()]


def everything() -> list[str]:
    """Return the names of all recordings of the folders in scope."""
    root = openapi.folder()
    if root is None:
        return []
    paths = [path for name in scope.RECORDED for path in (root / "recordings" / name).rglob("*.json")]
    return sorted(str(path.relative_to(root / "recordings"))[: -len(".json")] for path in paths)


def _file(root: Any, name: str) -> Any:
    return root / "recordings" / f"{name}.json"


async def replay(world: World, name: str) -> Outcome:
    """Replay one recording in a cloud of its own."""
    root = openapi.folder()
    content = json.loads(_file(root, name).read_text())
    return await _Replay(world, name, content["interactions"]).all()


class _Replay:
    """One recording, on its way."""

    def __init__(self, world: World, name: str, interactions: list[dict[str, Any]]) -> None:
        self.world = world
        self.outcome = Outcome(name)
        self.interactions = interactions
        self.addresses: dict[str, str] = {}
        self.there: set[str] = set()
        self.refused: set[str] = set()
        self.principals: dict[str, str] = {}
        self.feature = ("", "")

    async def all(self) -> Outcome:
        """Send everything."""
        await self._features()
        for group in _supposed(self.interactions):
            await self.world.send("PUT", self.own(group), _GROUP, "2021-04-01")
        for recorded in self.interactions:
            self.world.taken()
            self.outcome.steps.append(await self._step(recorded))
        return self.outcome

    async def _features(self) -> None:
        under = f"subscriptions/{self.world.subscription}"
        listed = await self.world.send(
            "GET", f"{under}/providers/Microsoft.Features/features", version="2021-07-01"
        )
        if listed.status == 200 and listed.body["value"]:
            self.feature = tuple(listed.body["value"][0]["name"].split("/"))

    def own(self, text: str) -> str:
        """Return a recorded path or id in this cloud's names."""
        text = re.sub(r"(?<=/subscriptions/)[0-9a-f-]{36}", self.world.subscription, text, flags=re.I)
        text = _NETWORK.sub("Microsoft.HybridCompute/machines", text)
        text = re.sub(r"(?<=/)subnets(?=/)", "extensions", text)
        found = re.search(r"/Microsoft\.Features/providers/[^/]+(/features/)?", text)
        if found:
            text = re.sub(r"(?<=Features/providers/)[^/]+", self.feature[0], text)
            text = re.sub(r"(?<=/features/)[^/]+", self.feature[1], text)
        return re.sub(
            r"(?<=/)(providers|providerOperations)/([A-Za-z.]+)(?=$|/(?:un)?register$)",
            lambda match: f"{match[1]}/{_PROVIDERS.get(match[2].lower(), match[2])}",
            text,
        )

    async def _step(self, recorded: dict[str, Any]) -> Step:
        url = urlsplit(recorded["uri"])
        path = unquote(url.path)
        step = Step(recorded["method"], path)
        absent = scope.not_offered_path(path)
        step.not_offered = absent.reason if absent else ""
        own = self.own(path)
        await self._wait(recorded)
        if path in self.refused:
            step.left_out = "an operation of what is not offered"
            return step
        if path in self.addresses:
            await self._compare_poll(step, recorded, self.addresses[path])
            return step
        is_stand_in = bool(_NETWORK.search(path) and _STAND_IN.search(own))
        step.left_out = "" if is_stand_in or "Authorization/locks" in path else _uncounted(own)
        if is_stand_in:
            step.left_out = "a machine stands for the network"
            await self._stand_in(recorded["method"], own)
            return step
        if step.left_out:
            return step
        await self._prepare(own, path)
        query = {name: value for name, value in parse_qsl(url.query) if name != "api-version"}
        version = dict(parse_qsl(url.query)).get("api-version", "")
        body = self._body(recorded)
        answer = await self.world.send(recorded["method"], own, body, version, **query)
        if absent is not None:
            step.faults = [] if answer.code in absent.codes else [f"answers {answer}"]
            self.refused |= {urlsplit(where).path for where in _addresses(recorded)}
        else:
            step.faults = list(self._differences(recorded, answer)) + self.world.taken()
        return step

    def _body(self, recorded: dict[str, Any]) -> Any:
        body = recorded.get("request_body")
        # The recorder wrote some bodies as Python prints bytes, once or twice over.
        while isinstance(body, str) and body.startswith("b'"):
            body = ast.literal_eval(body).decode()
        if isinstance(body, str):
            body = json.loads(body)
        if body is None:
            return None
        made = json.loads(self.own(json.dumps(body)))
        given = made.get("properties") or {}
        if "principalId" in given and recorded["status"] < 300:
            given["principalId"] = self._principal(given["principalId"])
        return made

    def _principal(self, recorded: str) -> str:
        """Return who plays a recorded principal; it is there once the recorded one was."""
        if recorded not in self.principals:
            self.principals[recorded], _, _ = self.world.cloud.create_service_principal(recorded)
        return self.principals[recorded]

    async def _wait(self, recorded: dict[str, Any]) -> None:
        """Let our operations end where the recorded ones had."""
        body = recorded.get("response_body")
        state = body.get("properties", {}).get("provisioningState") if isinstance(body, dict) else None
        is_poll = "operationresults" in recorded["uri"].lower()
        if not (state == "Deleting" or (is_poll and recorded["status"] == 202)):
            await self.world.cloud.plane.settle()
        if not (isinstance(body, dict) and str(body.get("registrationState", "")).endswith("ing")):
            self.world.cloud.clock.advance(1)

    async def _stand_in(self, method: str, own: str) -> None:
        kind = "/extensions" if "/extensions/" in own else ""
        version, body = RECIPES[f"microsoft.hybridcompute/machines{kind}"]
        if method in ("PUT", "DELETE"):
            await self.world.send(method, own, body if method == "PUT" else None, version)
        if method == "PUT":
            self.there.add(own.lower())

    async def _prepare(self, own: str, path: str) -> None:
        """Make the part of a stand-in that a network had from its own body: a subnet."""
        found = re.match(r"(.*/machines/[^/]+/extensions/[^/]+)/providers/", own, re.IGNORECASE)
        if found and "Microsoft.Network" in path and found[1].lower() not in self.there:
            await self._stand_in("PUT", found[1])
        found = re.match(r"((.*/machines/[^/]+)/providers/.*Assignments/[^/]+)", own, re.IGNORECASE)
        if found and found[1].lower() not in self.there:
            self.there.add(found[1].lower())
            await self.world.send("PUT", found[2], MACHINE, "2024-07-10")
            await self.world.send("PUT", found[1], self._assignment(found[1]), "2022-01-25")
            self._reports(found[1])

    def _assignment(self, own: str) -> Any:
        """Return the body that a recorded guest assignment must have been made with."""
        for one in self.interactions:
            if self.own(unquote(urlsplit(one["uri"]).path)).lower() == own.lower():
                body = one["response_body"]
                kept = {name: body["properties"][name] for name in ("guestConfiguration", "context")}
                return {"location": body["location"], "properties": kept}
        return RECIPES["microsoft.guestconfiguration/guestconfigurationassignments"][1]

    def _reports(self, assignment: str) -> None:
        """Hand in the reports that the machine had made when somebody recorded them."""
        for one in self.interactions:
            path = self.own(unquote(urlsplit(one["uri"]).path))
            if path.lower().startswith(f"{assignment.lower()}/reports/"):
                said = openapi.without_nulls(one["response_body"]["properties"])
                report(self.world, path, said)

    async def _compare_poll(self, step: Step, recorded: dict[str, Any], address: str) -> None:
        answer = await self.world.read(address) if address else None
        if answer is None:
            step.faults.append("there is nothing to poll")
            return
        if recorded["status"] == 202 and answer.status != 202:
            recorded = [one for one in self.interactions if one["uri"] == recorded["uri"]][-1]
        step.faults += self._differences(recorded, answer)

    def _differences(self, recorded: dict[str, Any], answer: Answered) -> Iterator[str]:
        headers = recorded["response_headers"]
        for name in POLLED:
            is_recorded, is_ours = name in headers, name in answer.headers
            if is_recorded != is_ours and answer.status < 300:
                yield f"header {name}: recorded {is_recorded}, here {is_ours}"
            if is_recorded:
                self.addresses.setdefault(urlsplit(headers[name]).path, answer.headers.get(name, ""))
        if answer.status != recorded["status"]:
            yield f"answers {answer}, recorded {recorded['status']}"
            return
        body = recorded.get("response_body")
        if isinstance(body, dict) and isinstance(body.get("error"), dict):
            wanted = body["error"].get("code")
            if answer.code != wanted:
                yield f"error code {answer.code!r}, recorded {wanted!r}"
        if isinstance(body, dict | list):
            yield from differences(body, answer.body, {one.lower() for one in self._ids()})

    def _ids(self) -> list[str]:
        """Return the recorded ids that the recording itself made."""
        return [unquote(urlsplit(one["uri"]).path) for one in self.interactions if one["method"] == "PUT"]


def _addresses(recorded: dict[str, Any]) -> list[str]:
    return [recorded["response_headers"][name] for name in POLLED if name in recorded["response_headers"]]


def _uncounted(path: str) -> str:
    return next((reason for pattern, reason in _UNCOUNTED if re.search(pattern, path, re.I)), "")


def _supposed(interactions: list[dict[str, Any]]) -> list[str]:
    """Return the paths of the groups that are there before the recording begins."""
    seen: dict[str, bool] = {}
    for one in interactions:
        path = unquote(urlsplit(one["uri"]).path)
        found = re.match(r"/subscriptions/[^/]+/resourcegroups/[^/]+", path, re.IGNORECASE)
        if found is None or found[0].lower() in seen:
            continue
        is_made = one["method"] == "PUT" and found[0] == path and one["status"] == 201
        seen[found[0].lower()] = not is_made and one["status"] != 404
    return [path for path, is_there in seen.items() if is_there]

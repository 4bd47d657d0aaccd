"""Run a command on many machines at once, through the cloud: no machine opens a port for it.

The machines are found by tags, group and names, or by a query of Resource Graph. Each gets a run
command (Microsoft.HybridCompute/machines/runCommands), which is removed again in the end. The
caller's own roles count: it needs machines/runCommands/write, /read and /delete.

Exit codes: 0 every machine succeeded; 1 refused, or no machine was found; 2 wrong usage; 3 some
machines failed; 4 stopped after too many failures; 5 those that were asked succeeded, others
were skipped because they are not connected; 130 interrupted.
"""

from __future__ import annotations

import argparse
import re
import secrets
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from types import FrameType

from landbridge_server.cli import fleet_commands as commands
from landbridge_server.cli import fleet_follow, fleet_machines, fleet_plans, fleet_screen, run_arguments
from landbridge_server.cli.arguments import CommandError, show
from landbridge_server.cli.arm_client import Arm, open_cloud
from landbridge_server.cli.arm_connections import Connections, Workers
from landbridge_server.cli.fleet_commands import Machine, Result
from landbridge_server.cli.fleet_run import CONNECTED, FleetRun, Plan
from landbridge_server.cli.waves import Rules, Waves

EXAMPLES = run_arguments.EXAMPLES
add_arguments = run_arguments.add_arguments

FAILED, STOPPED, SKIPPED, INTERRUPTED = 3, 4, 5, 130
MOST_CONNECTIONS = 16
_NAME = re.compile(r"fleet-[0-9A-Za-z-]{1,50}", re.ASCII)


def run(options: argparse.Namespace) -> int:
    """Do it and return the exit code."""
    words = run_arguments.checked(options)
    arm = open_cloud(options.data, options.ca_file)
    calls = Connections(arm, partial(open_cloud, options.data, options.ca_file))
    subscriptions = options.subscription or [arm.subscription_id]
    try:
        if options.show:
            return _show(calls, _checked_name(options.show), subscriptions, options.output)
        with Workers(max(2, min(MOST_CONNECTIONS, options.max_concurrent)), calls.close) as workers:
            going = _prepared(options, words, arm, calls, workers, subscriptions)
            return _carry_out(going, options.keep, options.output)
    finally:
        calls.close()


def _prepared(
    options: argparse.Namespace,
    words: list[str],
    arm: Arm,
    calls: Connections,
    workers: Workers,
    subscriptions: Sequence[str],
) -> FleetRun:
    """Return a new run, or one that was left, ready to go on."""
    screen = fleet_screen.ProgressLine(sys.stderr, time.monotonic)
    if options.resume:
        plan = fleet_plans.load(_checked_name(options.resume), arm.base)
    else:
        plan = _planned(options, words, _found(options, calls, workers, subscriptions, screen))
        fleet_plans.save(plan, arm.base)
    follower = None
    if options.follow:
        follower = fleet_follow.Follower(calls, plan.name, partial(_print_lines, screen))
    going = FleetRun(calls, workers, plan, screen, time.monotonic, follower)
    if options.resume:
        going.take_up(_so_far(calls, plan.name, sorted({one.id.split("/")[2] for one in plan.machines})))
    else:
        screen.say(_announcement(plan, going.waves))
    return going


def _carry_out(going: FleetRun, keep: bool, output: str) -> int:
    plan, screen = going.plan, going.screen
    before = signal.signal(signal.SIGINT, partial(_interrupt, going))
    try:
        results = going.go()
    except (CommandError, KeyboardInterrupt):
        screen.say(f"What runs on machines goes on. To take it up again: landbridge run --resume {plan.name}")
        raise
    finally:
        signal.signal(signal.SIGINT, before)
    screen.clear()
    _report(plan.machines, results, output)
    screen.say(f"{plan.name}: {fleet_screen.summary(results)}.")
    if not keep:
        left = going.remove()
        if left:
            screen.say(f"{len(left)} run commands named {plan.name} could not be removed: {left[0]}")
    fleet_plans.forget(plan.name)
    return exit_code(results, going.waves, going.interrupted)


def exit_code(results: Mapping[str, Result], waves: Waves, interrupted: bool) -> int:
    """Return the code that says how a run has ended."""
    states = {one.state for one in results.values()}
    if interrupted:
        return INTERRUPTED
    if waves.stopped:
        return STOPPED
    if states - {commands.SUCCEEDED, commands.SKIPPED}:
        return FAILED
    return SKIPPED if commands.SKIPPED in states else 0


def _interrupt(going: FleetRun, _number: int, _frame: FrameType | None) -> None:
    if going.interrupted:
        raise KeyboardInterrupt
    going.interrupt()


def _found(
    options: argparse.Namespace,
    calls: Connections,
    workers: Workers,
    subscriptions: Sequence[str],
    screen: fleet_screen.ProgressLine,
) -> list[Machine]:
    query = options.query or fleet_machines.query_of(options.resource_group, dict(options.tag), options.name)
    found = fleet_machines.look_up(calls, workers, fleet_machines.find(calls, query, subscriptions))
    if not found:
        raise CommandError(
            "No machine matches, among those that you may read in "
            f"{'the subscription' if len(subscriptions) == 1 else 'the subscriptions'} "
            f"{', '.join(subscriptions)}."
        )
    absent = [one.name for one in found if one.status != CONNECTED]
    if absent and options.disconnected == "skip":
        if len(absent) == len(found):
            raise CommandError(
                f"None of the {len(found):,} machines is connected. To wait for them: --disconnected wait."
            )
        names = ", ".join(absent[:10]) + (f" and {len(absent) - 10:,} more" if len(absent) > 10 else "")
        screen.say(f"Skipped, because they are not connected: {names}.")
    return found


def _planned(options: argparse.Namespace, words: list[str], machines: list[Machine]) -> Plan:
    if options.script is not None:
        script, arguments = run_arguments.read_script(options.script), words
    else:
        script, arguments = commands.script_of(words), []
    moment = datetime.fromtimestamp(time.time(), UTC)  # noqa: TID251 - this command is a main()
    return Plan(
        f"fleet-{moment:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}",
        tuple(machines),
        Rules(options.max_concurrent, options.canary, options.stop_on_failure),
        commands.body(
            script,
            arguments=arguments,
            parameters=dict(options.param),
            seconds=options.timeout,
            user=options.run_as,
        ),
        options.disconnected == "wait",
        options.rate,
    )


def _announcement(plan: Plan, waves: Waves) -> str:
    text = f"{plan.name}: {waves.count:,} {'machine' if waves.count == 1 else 'machines'}"
    if waves.canaries:
        text += f", {len(waves.canaries):,} of them first"
    return f"{text}, at most {plan.rules.at_once:,} at once."


def _so_far(calls: Connections, name: str, subscriptions: Sequence[str]) -> dict[str, Result]:
    """Return the run commands of a run that are there, by the key of their machine."""
    query = (
        "resources | where type == 'microsoft.hybridcompute/machines/runcommands' "
        f"and name =~ '{name}' | project id, properties"
    )
    found = fleet_machines.rows(calls, query, subscriptions)
    return {str(row["id"]).rsplit("/", 2)[0].lower(): commands.judged(commands.read(row)) for row in found}


def _show(calls: Connections, name: str, subscriptions: Sequence[str], output: str) -> int:
    found = _so_far(calls, name, subscriptions)
    if not found:
        raise CommandError(
            f"There are no run commands named '{name}' that you may read. A run removes its own when it is "
            "over, unless it was told to --keep them."
        )
    _report([Machine(key) for key in found], found, output)
    return 0


def _report(machines: Sequence[Machine], results: Mapping[str, Result], output: str) -> None:
    rows = fleet_screen.documents if output == "json" else fleet_screen.table
    show(rows(machines, results), output)
    sys.stdout.flush()


def _print_lines(screen: fleet_screen.ProgressLine, machine: str, text: str) -> None:
    screen.clear()
    fleet_screen.print_output(machine, text)


def _checked_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise CommandError(f"'{text[:80]}' is no name of a run, such as fleet-20270115T080000Z-1a2b3c4d.")
    return text

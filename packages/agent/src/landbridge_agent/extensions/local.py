"""Extensions as ``azcmagent`` sees them: what is on this machine, and its removal without the cloud."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from landbridge_agent.extensions import removing
from landbridge_agent.extensions.cloud_source import CloudSource
from landbridge_agent.extensions.context import Context
from landbridge_agent.extensions.records import Record, Records
from landbridge_agent.paths import Paths
from landbridge_agent.work.processes import Limits
from landbridge_agent.work.task import Task
from landbridge_agent.work.worker import environment_for
from landbridge_wire.work_api import EXTENSION, REMOVE, WorkItem

TURN_SECONDS = 60.0
"""How long a removal waits for what ``extd`` is doing with extensions."""


def removed(
    paths: Paths,
    name: str,
    settings: Mapping[str, object],
    environment: Mapping[str, str],
    clock: Callable[[], float],
) -> str:
    """Remove the extension whose resource has a name, by its own commands; say what was done.

    The cloud is not told: its resource stays until somebody deletes it there.

    Raises:
        ExtensionFailed: the handler's own command failed, for the first time.
        Busy: ``extd`` works on extensions.
        OSError: something cannot be written.
    """
    item = WorkItem(f"local-{uuid.uuid4()}", REMOVE, f"local/{name}", EXTENSION, 0)
    with tempfile.TemporaryDirectory() as folder:
        task = Task(item, paths, Path(folder), settings, Limits(), environment_for(environment), clock)
        context = Context(task, CloudSource(task))
        with context.turn(TURN_SECONDS):
            return removing.remove(context, context.records.get(name))


def every(paths: Paths) -> list[Record]:
    """Return the records of all extensions that are, or were, on this machine."""
    return Records(paths.extensions).every()

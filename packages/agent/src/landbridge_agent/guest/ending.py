"""The end of an evaluation: waited for, or brought about, and nothing of it left but services."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

from landbridge_agent.work import limits, processes, tree


async def ended(pid: int, work_id: str, seconds: float) -> str:
    """Wait for the end of a worker, and bring it about when its time is over; return how it ended."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    handle = os.pidfd_open(pid)
    loop.add_reader(handle, over.set)
    told = ""
    try:
        try:
            async with asyncio.timeout(seconds):
                await over.wait()
        except TimeoutError:
            told = f"it took longer than {seconds:g} seconds and was killed"
    finally:
        loop.remove_reader(handle)
        os.close(handle)
    if told:
        await asyncio.to_thread(tree.kill, work_id)
    try:
        _, status = os.waitpid(pid, 0)  # noqa: ASYNC222 - it has ended
        code = os.waitstatus_to_exitcode(status)
    except ChildProcessError:  # whoever killed it has taken leave of it, too
        code = -signal.SIGKILL
    if code:  # what it had begun goes, too
        await asyncio.to_thread(tree.kill, work_id)
    leave_running(work_id)
    if told:
        return told
    if code < 0:
        return f"its process was ended by {processes.signal_name(-code)}"
    return "it ended by itself" if code == 0 else f"its process ended with exit code {code}"


def leave_running(work_id: str) -> None:
    """Let services that an evaluation has started go on, without its bounds; init scripts start such."""
    top = limits.hierarchy()
    group = limits.find_group(work_id, top)
    if top is None or group is None:
        return
    for pid in limits.members(group):
        with contextlib.suppress(OSError):
            (top / "cgroup.procs").write_text(str(pid))
    limits.remove_group(group)

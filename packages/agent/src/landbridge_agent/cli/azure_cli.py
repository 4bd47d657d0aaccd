"""A token from the ``az`` that somebody has signed in with on this machine (``--use-azcli``)."""

from __future__ import annotations

import json
import shutil
import subprocess

from landbridge_agent.codes import AgentError

SECONDS = 120.0


def token(audience: str, tenant: str) -> str:
    """Return az's access token for a resource manager.

    Raises:
        AgentError: AZCM0041, there is no az, or it has no token for this cloud.
    """
    program = shutil.which("az")
    if program is None:
        raise AgentError(
            41, "--use-azcli: there is no az on the PATH.", "Install it, or use another sign-in."
        )
    command = [program, "account", "get-access-token", "--resource", audience, "--output", "json"]
    if tenant:
        command += ["--tenant", tenant]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AgentError(41, f"--use-azcli: az did not answer: {error}.") from error
    found = _token(done.stdout)
    if done.returncode or not found:
        said = done.stderr.strip().splitlines()
        raise AgentError(
            41,
            f"--use-azcli: az has no token for {audience}: {said[-1] if said else done.returncode}",
            "Sign in with az as this very user, in the cloud of this control plane: az cloud set, az login.",
        )
    return found


def _token(text: str) -> str:
    try:
        answer = json.loads(text)
    except ValueError:
        return ""
    value = answer.get("accessToken") if isinstance(answer, dict) else None
    return value if isinstance(value, str) else ""

"""Which proxy the command line uses: the one that the daemon uses."""

from __future__ import annotations

from collections.abc import Mapping

from landbridge_agent import local_policy
from landbridge_agent.codes import AgentError
from landbridge_agent.local_config import InvalidSetting
from landbridge_agent.machine import Machine, StateError
from landbridge_agent.proxies import Proxy, proxy_from


def proxy_of(machine: Machine, environment: Mapping[str, str]) -> Proxy:
    """Return the proxy of this machine: ``proxy.url`` before HTTPS_PROXY.

    Raises:
        AgentError: AZCM0070, the local configuration is damaged.
    """
    try:
        return local_policy.proxy(machine.local_settings(), proxy_from(environment))
    except (StateError, InvalidSetting) as error:
        raise AgentError(70, str(error)) from error

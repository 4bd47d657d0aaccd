"""``sshProxy [-r FILE] [-p PORT]``: OpenSSH's ProxyCommand through the relay.

Standard input and output carry SSH. Errors are one line of JSON on standard error.
"""

from __future__ import annotations

import os
import sys

from landbridge_client.relay_info import ProxyError, load
from landbridge_wire.version import VERSION

USAGE = """\
Usage: sshProxy [-r FILE] [-p PORT]

Carries an SSH session on standard input and output to a machine through the relay. Meant
to be run by ssh:

  Host web-1
      ProxyCommand sshProxy -r ~/.ssh/landbridge/web-1.relay -p 22

  -r FILE    the relay information; otherwise SSHPROXY_RELAY_INFO holds it
  -p PORT    the port on the machine (22)
  --version  print the version
  --help     print this

SSHPROXY_CA_FILE or SSL_CERT_FILE name the CA that is trusted instead of the system's, unless
the relay information names one. HTTPS_PROXY and NO_PROXY are honoured.
"""


def report(message: str, now: float) -> str:
    """Return the one line of JSON that says why; ``az ssh`` reads its first two members."""
    import json
    from time import gmtime, strftime

    when = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(now))
    body = {"level": "fatal", "msg": " ".join(message.split()), "time": when}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def parse_arguments(arguments: list[str]) -> tuple[str, int]:
    """Return file and port.

    Raises:
        ProxyError: an argument is unknown or has no usable value.
    """
    file, port = "", 22
    rest = list(arguments)
    while rest:
        name, joined, value = rest.pop(0).partition("=")
        if name not in ("-r", "--relay-info", "-p", "--port"):
            raise ProxyError(f"sshproxy: unknown argument '{name}'; see sshProxy --help.")
        if not joined:
            if not rest:
                raise ProxyError(f"sshproxy: '{name}' needs a value; see sshProxy --help.")
            value = rest.pop(0)
        if name in ("-r", "--relay-info"):
            file = value
        elif value.isascii() and value.isdigit() and 0 < int(value) < 65536:
            port = int(value)
        else:
            raise ProxyError(f"sshproxy: '{value}' is not a port between 1 and 65535.")
    return file, port


def main() -> int:
    """Run the proxy; the process's exit code."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["version"]):
        print(f"sshProxy {VERSION}")
        return 0
    if "--help" in arguments or "-h" in arguments:
        print(USAGE, end="")
        return 0
    from time import time  # noqa: TID251 - this is a main

    try:
        file, port = parse_arguments(arguments)
        info = load(file, os.environ.get("SSHPROXY_RELAY_INFO", ""), time())  # noqa: TID251 - this is a main
        if sys.platform == "win32":
            raise ProxyError("sshproxy: Windows is not supported yet: its pipes cannot be polled.")
        from landbridge_client.dialling import dial  # ssl takes 30 ms: errors above need not wait
        from landbridge_client.pump import Pump

        channel, early = dial(info, port, os.environ)  # noqa: TID251 - this is a main
        Pump(channel, 0, 1).run(early)
    except ProxyError as error:
        print(report(str(error), time()), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

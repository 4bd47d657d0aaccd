"""``azcmagent``. ``version`` is answered before anything else is imported."""

from __future__ import annotations

import sys

from landbridge_agent.version import AGENT_VERSION

VERSION_WORDS = (["version"], ["--version"])


def main() -> int:
    """Run the command line of this process and return its exit code."""
    words = sys.argv[1:]
    if words in VERSION_WORDS:
        print(f"azcmagent version {AGENT_VERSION}")
        return 0
    import os
    import time

    from landbridge_agent.cli.run import run

    return run(words, os.environ, time.time, sys.stdout, sys.stderr)  # noqa: TID251


if __name__ == "__main__":
    sys.exit(main())

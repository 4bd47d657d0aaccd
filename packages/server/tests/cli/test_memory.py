from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import resource
from landbridge_server.cli.memory import keep_freed
if {keep}:
    assert keep_freed()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
b"".join([b"x" * 2_000_000, b"y" * 2_000_000])
before = faults()
for _ in range(50):
    b"".join([b"x" * 2_000_000, b"y" * 2_000_000])
print(faults() - before)
"""


def faults(keep):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(keep=keep)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_memory_of_a_page_is_not_asked_for_again_and_again():
    assert faults(keep=True) < 2000 < faults(keep=False)

"""Linux: folders that several programs make."""

from __future__ import annotations

import threading

from landbridge_agent.paths import Paths
from landbridge_agent.platform.posix import Linux


def test_programs_that_make_a_folder_at_the_same_moment_both_have_it(tmp_path):
    paths, failures = Paths(tmp_path, True), []

    def make(folder, together):
        together.wait()
        try:
            Linux().private_folder(folder, paths)
        except OSError as error:
            failures.append(error)

    for number in range(100):
        together = threading.Barrier(4)
        threads = [threading.Thread(target=make, args=(tmp_path / str(number), together)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []

"""The api-versions that clients of ``Microsoft.HybridCompute`` ask for, newest first.

Only for showing: any well-formed version is served.
"""

from __future__ import annotations

VERSIONS = (
    "2026-07-15",
    "2025-01-13",
    "2024-07-10",
    "2022-12-27",
    "2022-11-10",
    "2022-03-10",
    "2021-05-20",
    "2020-08-02",
    "2019-12-12",
)

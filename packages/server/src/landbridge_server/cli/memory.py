"""How the server's process treats memory that it has freed.

A long page is some megabytes, made and sent a hundred times a second. Left alone, glibc
gives such blocks back to the kernel each time and asks for them again, and the kernel clears
every page of them anew: that took as long as everything else together.
"""

from __future__ import annotations

import ctypes

KEPT = 16 * 1024 * 1024
"""Bytes that stay with the process, and the size of a block that is given back at once."""

_M_TRIM_THRESHOLD = -1  # malloc.h
_M_MMAP_THRESHOLD = -3


def keep_freed() -> bool:
    """Keep up to ``KEPT`` bytes of freed memory for the next request; say whether that is done.

    Another C library than glibc goes on as it does by itself.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, KEPT)) and bool(mallopt(_M_MMAP_THRESHOLD, KEPT))

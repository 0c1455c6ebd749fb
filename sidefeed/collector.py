"""Python's collector of reference cycles, set for work that makes many objects and hardly any cycle."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_NEW_OBJECTS = 20_000
"""Objects made between two collections. Python's own 700 walk a batch of records dozens of times, a tenth of the CPU
of a first load and a twentieth of that of a start, and find nothing: rows and modules refer to each other in no circle
that ends before the process."""


@contextmanager
def rarely_collecting() -> Iterator[None]:
    """Collect cycles rarely until the end of the block."""
    before = gc.get_threshold()
    gc.set_threshold(_NEW_OBJECTS, before[1], before[2])
    try:
        yield
    finally:
        gc.set_threshold(*before)

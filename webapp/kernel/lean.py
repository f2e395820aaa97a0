"""Imports without the companions that libraries take along when they happen to be installed.

structlog loads rich, Socket.IO loads requests and a second Redis client: 16 MiB of a web process
that nothing here ever calls.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Let imports inside find none of the packages that are not loaded yet; later ones do."""
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # it means: not to be found
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]

"""What came with this installation: its version, and folders that are no Python."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from pathlib import Path


@cache
def release() -> str:
    """Return the version of Deckhand that is installed."""
    return version("deckhand")


def folder_of(name: str) -> Path:
    """Return `templates`, `static` or `migrations`: in a wheel inside the package, else beside."""
    package = Path(__file__).resolve().parents[1]
    inside = package / name
    return inside if inside.is_dir() else package.parent / name

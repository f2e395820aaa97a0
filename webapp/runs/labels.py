"""What the items of a list are called on a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def item_label(labels: Sequence[str], index: int) -> str:
    """Return what an item is called: by its first text, else by its place."""
    return (labels[index] if index < len(labels) else "") or f"Item {index + 1:,}"


def labels_of(items: Any) -> list[str]:
    """Return a short name for each item of a list: itself, or the first text in it."""
    if not isinstance(items, list):
        return []
    return [_label(item) for item in items[:10_000]]


def _label(item: Any) -> str:
    if isinstance(item, dict):
        item = next((part for part in item.values() if isinstance(part, str) and part.strip()), "")
    if isinstance(item, bool | dict | list) or item is None:
        return ""
    text = " ".join(str(item).split())
    return text if len(text) <= 60 else text[:59].rstrip() + "…"

"""One change of a plan as the smallest part that differs, so that a hundred of them stay small.

A part is {"at": [keys], "value": ...} or, inside a list, {"at": [keys], "from": i, "to": j,
"value": [...]}: what stands (or stood) between i and j.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

Part = dict[str, Any]


def between(before: Any, after: Any) -> tuple[Part, Part]:
    """Return what stood in `before` and what stands in `after` where they differ."""
    at: list[str | int] = []
    while True:
        key = _only_difference(before, after)
        if key is None:
            break
        at.append(key)
        before, after = before[key], after[key]
    if isinstance(before, list) and isinstance(after, list):
        start, end = _same_ends(before, after)
        return _slice(at, before, start, end), _slice(at, after, start, end)
    return {"at": at, "value": before}, {"at": at, "value": after}


def applied(doc: Any, old: Part, new: Part) -> Any:
    """Return `doc` with what `old` describes replaced by what `new` says."""
    root = {"doc": deepcopy(doc)}
    holder: Any = root
    keys: list[str | int] = ["doc", *old["at"]]
    for key in keys[:-1]:
        holder = holder[key]
    if "from" in old:
        holder[keys[-1]][old["from"] : old["to"]] = deepcopy(new["value"])
    else:
        holder[keys[-1]] = deepcopy(new["value"])
    return root["doc"]


def _only_difference(before: Any, after: Any) -> str | int | None:
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        keys: list[Any] = [key for key in before if before[key] != after[key]]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        keys = [n for n, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
    else:
        return None
    return keys[0] if len(keys) == 1 else None


def _same_ends(before: list[Any], after: list[Any]) -> tuple[int, int]:
    shorter = min(len(before), len(after))
    start = 0
    while start < shorter and before[start] == after[start]:
        start += 1
    end = 0
    while end < shorter - start and before[-1 - end] == after[-1 - end]:
        end += 1
    return start, end


def _slice(at: list[str | int], items: list[Any], start: int, end: int) -> Part:
    to = len(items) - end
    return {"at": at, "from": start, "to": to, "value": items[start:to]}

"""The operations of "Work with a list": filter, sort, group, and the like, on rows of records."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import singledispatch
from typing import Any

from webapp.engine import listops
from webapp.engine.allowance import ROW
from webapp.engine.canonical import to_bytes
from webapp.engine.compute import compute
from webapp.engine.conditions import holds
from webapp.engine.errors import StepError
from webapp.engine.readings import as_number
from webapp.engine.values import Scope, render

MOST_ITEMS = 100_000


@dataclass
class ListResult:
    items: list[Any]
    removed: list[dict[str, Any]] = field(default_factory=list)
    """`{"item", "reason"}` for what filter and unique left out."""


def apply(items: Any, ops: Sequence[listops.ListOp], scope: Scope) -> ListResult:
    """Run `ops` one after the other; inside, `item` is the row at hand.

    A field of something that is no record is empty.

    Raises:
        StepError: E-LIST-TYPE, `items` is no list; E-LIST-LIMIT, an operation made it too long.
    """
    if items is None:
        items = []
    if not isinstance(items, list):
        raise StepError(
            "E-LIST-TYPE",
            "This step works on a list, but got something else. Choose a list.",
            proven=True,
            retryable=False,
        )
    result = ListResult(list(items))
    for op in ops:
        scope.allowance.look_at_clock()
        result.items = _apply(op, result, scope)
        if len(result.items) > MOST_ITEMS:
            raise StepError(
                "E-LIST-LIMIT",
                f"The list grew beyond {MOST_ITEMS:,} items. Filter it first.",
                proven=True,
                retryable=False,
                facts={"most": MOST_ITEMS},
            )
    return result


@singledispatch
def _apply(op: Any, result: ListResult, scope: Scope) -> list[Any]:
    raise TypeError(f"no list operation: {op!r}")


@_apply.register
def _filter(op: listops.Filter, result: ListResult, scope: Scope) -> list[Any]:
    kept = []
    for item in result.items:
        if holds(op.where, scope.at_row(item)):
            kept.append(item)
        else:
            result.removed.append({"item": item, "reason": "Does not match the filter."})
    return kept


@_apply.register
def _sort(op: listops.Sort, result: ListResult, scope: Scope) -> list[Any]:
    """Sort by several fields; what is empty stands last, upwards and downwards."""
    items = result.items
    for key in reversed(op.by):
        full = [item for item in items if _of(item, key.field) is not None]
        empty = [item for item in items if _of(item, key.field) is None]
        full.sort(key=_by(key.field), reverse=key.down)
        items = full + empty
    return items


@_apply.register
def _first(op: listops.First, result: ListResult, scope: Scope) -> list[Any]:
    return result.items[: op.n]


@_apply.register
def _last(op: listops.Last, result: ListResult, scope: Scope) -> list[Any]:
    return result.items[-op.n :]


@_apply.register
def _unique(op: listops.Unique, result: ListResult, scope: Scope) -> list[Any]:
    seen: set[Hashable] = set()
    kept = []
    for item in result.items:
        key = _key(item, op.by)
        if key in seen:
            named = ", ".join(op.by)
            result.removed.append({"item": item, "reason": f"Repeats an earlier {named}."})
        else:
            seen.add(key)
            kept.append(item)
    return kept


@_apply.register
def _group(op: listops.Group, result: ListResult, scope: Scope) -> list[Any]:
    """One row per kind, in the order of their first appearance."""
    groups: dict[Hashable, list[Any]] = {}
    for item in result.items:
        groups.setdefault(_key(item, op.by), []).append(item)
    return [
        {name: _of(rows[0], name) for name in op.by}
        | {take.name: _taken(take, rows) for take in op.take}
        for rows in groups.values()
    ]


def _taken(take: listops.Take, rows: list[Any]) -> Any:
    if take.field is None:
        return len(rows) if take.op == "count" else None
    return compute(take.op, [_of(row, take.field) for row in rows])


@_apply.register
def _pick(op: listops.Pick, result: ListResult, scope: Scope) -> list[Any]:
    return [{name: _of(item, name) for name in op.fields} for item in result.items]


@_apply.register
def _rename(op: listops.Rename, result: ListResult, scope: Scope) -> list[Any]:
    return [
        {op.names.get(name, name): value for name, value in item.items()}
        if isinstance(item, dict)
        else item
        for item in result.items
    ]


@_apply.register
def _compute(op: listops.Compute, result: ListResult, scope: Scope) -> list[Any]:
    """Add a field to each row; an item that is no record becomes one."""
    return [{**_record(item), op.name: computed(op, scope.at_row(item))} for item in result.items]


def computed(setting: Any, scope: Scope) -> Any:
    """Return what a field of `set` or `compute` says: a value, or an operation over values."""
    if setting.op is None:
        made = render(setting.value, scope)
    else:
        values = [render(value, scope) for value in setting.of]
        for value in values:
            scope.allowance.look(value)
        made = compute(setting.op, values, setting.digits)
    scope.allowance.spend(made, extra=ROW)
    return made


@_apply.register
def _flatten(op: listops.Flatten, result: ListResult, scope: Scope) -> list[Any]:
    """One row per entry of the list in `field`, with the other fields repeated."""
    rows: list[Any] = []
    for item in result.items:
        inner = _of(item, op.field)
        rest = {name: value for name, value in _record(item).items() if name != op.field}
        entries = inner if isinstance(inner, list) else [inner]
        scope.allowance.spend(rest, times=len(entries), extra=ROW)
        rows.extend(
            {**rest, **(entry if isinstance(entry, dict) else {op.field: entry})}
            for entry in entries
        )
    return rows


@_apply.register
def _join(op: listops.Join, result: ListResult, scope: Scope) -> list[Any]:
    """Add the other row's fields; a row without partner stays, its own fields win."""
    others = render(op.other, scope)
    partners: dict[Hashable, dict[str, Any]] = {}
    for other in others if isinstance(others, list) else []:
        if isinstance(other, dict) and _of(other, op.on) is not None:
            partners.setdefault(_key(other, [op.on]), other)
    joined = []
    for item in result.items:
        partner = partners.get(_key(item, [op.on]), {}) if isinstance(item, dict) else {}
        scope.allowance.spend(partner)
        joined.append({**partner, **item} if isinstance(item, dict) else item)
    return joined


def _record(item: Any) -> dict[str, Any]:
    return item if isinstance(item, dict) else {"value": item}


def _of(item: Any, name: str) -> Any:
    return item.get(name) if isinstance(item, dict) else None


def _key(item: Any, names: Iterable[str]) -> Hashable:
    return tuple(_same(_of(item, name)) for name in names)


def _same(value: Any) -> Hashable:
    """Two values are the same when numbers are equal and everything else is written alike."""
    if value is None or isinstance(value, str):
        return value
    number = as_number(value)
    return number if number is not None else to_bytes(value)


def _by(name: str) -> Callable[[Any], tuple[int, Decimal | int, str]]:
    return lambda item: _order(_of(item, name))


def _order(value: Any) -> tuple[int, Decimal | int, str]:
    """Numbers before texts before the rest; texts without case."""
    number = as_number(value)
    if number is not None:
        return 0, number, ""
    if isinstance(value, str):
        return 1, 0, value.casefold()
    return 2, 0, to_bytes(value).decode()

"""Does a condition hold? Rows of value, operator, value, joined by and/or."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from webapp.engine.adjust import adjust
from webapp.engine.errors import StepError
from webapp.engine.grammar import Condition, Row, Within
from webapp.engine.readings import (
    DAY,
    as_day,
    as_moment,
    as_number,
    as_text,
    as_truth,
    comparable,
    is_empty,
)
from webapp.engine.values import Scope, render


def holds(condition: Condition | Row, scope: Scope) -> bool:
    """Return whether the condition holds in `scope`.

    A row that compares what can't be compared is false and leaves a note in the scope.
    """
    if isinstance(condition, Condition):
        join = all if condition.every else any
        return join(holds(row, scope) for row in condition.rows)
    left, right = render(condition.value, scope), _right(condition, scope)
    scope.allowance.look(left)
    scope.allowance.look(None if isinstance(right, Within) else right)
    return OPERATORS[condition.op](left, right, scope)


def _right(row: Row, scope: Scope) -> Any:
    """`between` and `one_of` compare with several values, `in_last` with a time span."""
    match row.op:
        case "in_last":
            return row.to
        case "between":
            return [render(value, scope) for value in row.to]
        case "one_of":
            choices = [render(value, scope) for value in row.to]
            return [c for one in choices for c in (one if isinstance(one, list) else [one])]
    return render(row.to, scope)


def _equal(left: Any, right: Any, scope: Scope) -> bool:
    """Numbers as numbers, moments as moments, everything else as people read it."""
    left_number, right_number = as_number(left), as_number(right)
    if left_number is not None and right_number is not None:
        return left_number == right_number
    if isinstance(left, bool) or isinstance(right, bool):
        return as_truth(left) is not None and as_truth(left) is as_truth(right)
    if isinstance(left, (list, dict)) and isinstance(right, (list, dict)):
        return bool(left == right)
    if _is_time(left) and _is_time(right):
        return _ordered(left, right, scope) == 0
    return comparable(as_text(left)) == comparable(as_text(right))


def _is_time(value: Any) -> bool:
    return as_moment(value) is not None


def _ordered(left: Any, right: Any, scope: Scope) -> int | None:
    """-1, 0 or 1 for two times; when one is a bare date, both count as days."""
    zone = str(scope.facts.get("zone") or "UTC")
    days = any(isinstance(value, str) and DAY.match(value) for value in (left, right))
    first: Any = as_day(left, zone) if days else as_moment(left, zone)
    second: Any = as_day(right, zone) if days else as_moment(right, zone)
    if first is None or second is None:
        return None
    return (first > second) - (first < second)


def _contains(left: Any, right: Any, scope: Scope) -> bool:
    if isinstance(left, list):
        return any(_equal(item, right, scope) for item in left)
    return not is_empty(right) and comparable(as_text(right)) in comparable(as_text(left))


def _starts_with(left: Any, right: Any, scope: Scope) -> bool:
    start = comparable(as_text(right))
    return bool(start) and comparable(as_text(left)).startswith(start)


def _sized(test: Callable[[int], bool]) -> Callable[[Any, Any, Scope], bool]:
    def compare(left: Any, right: Any, scope: Scope) -> bool:
        first, second = as_number(left), as_number(right)
        if first is None or second is None:
            wrong = left if first is None else right
            scope.note(f"{_shown(wrong)} is no number, so the comparison is not true.")
            return False
        return test((first > second) - (first < second))

    return compare


def _timed(test: Callable[[int], bool]) -> Callable[[Any, Any, Scope], bool]:
    def compare(left: Any, right: Any, scope: Scope) -> bool:
        order = _ordered(left, right, scope)
        if order is None:
            wrong = right if _is_time(left) else left
            scope.note(f"{_shown(wrong)} is no date, so the comparison is not true.")
            return False
        return test(order)

    return compare


def _between(left: Any, right: Any, scope: Scope) -> bool:
    """Both ends count."""
    kind = _timed if as_number(left) is None and _is_time(left) else _sized
    at_least, at_most = kind(lambda order: order >= 0), kind(lambda order: order <= 0)
    return at_least(left, right[0], scope) and at_most(left, right[1], scope)


def _in_last(left: Any, span: Within, scope: Scope) -> bool:
    """From n units ago until now, both ends included; a bare date counts as its day."""
    now = as_moment(scope.lookup(["now", "time"]))
    start = _before(now, span) if now else None
    if now is None or start is None or not _is_time(left):
        scope.note(f"{_shown(left)} is no date, so the comparison is not true.")
        return False
    return _between(left, [start, now.isoformat()], scope)


def _before(now: datetime, span: Within) -> str | None:
    if span.unit == "months":
        moment = adjust(now.isoformat(), [{"do": "add", "n": -span.n, "unit": "months"}])
        return str(moment) if moment is not None else None
    try:
        return (now - timedelta(**{span.unit: span.n})).isoformat()
    except OverflowError:
        return None


def _shown(value: Any) -> str:
    text = as_text(value)
    return f"“{text if len(text) <= 60 else text[:59] + '…'}”" if text else "An empty value"


def _asks(left: Any, right: Any, scope: Scope) -> bool:
    raise StepError(
        "E-ASKS",
        "Conditions can't ask a model yet. Ask an agent in a step before, and compare its answer.",
        proven=True,
        retryable=False,
    )


OPERATORS: dict[str, Callable[[Any, Any, Scope], bool]] = {
    "equal": _equal,
    "not_equal": lambda left, right, scope: not _equal(left, right, scope),
    "contains": _contains,
    "not_contains": lambda left, right, scope: not _contains(left, right, scope),
    "starts_with": _starts_with,
    "empty": lambda left, right, scope: is_empty(left),
    "not_empty": lambda left, right, scope: not is_empty(left),
    "more": _sized(lambda order: order > 0),
    "less": _sized(lambda order: order < 0),
    "at_least": _sized(lambda order: order >= 0),
    "at_most": _sized(lambda order: order <= 0),
    "between": _between,
    "before": _timed(lambda order: order < 0),
    "after": _timed(lambda order: order > 0),
    "in_last": _in_last,
    "asks": _asks,
    "one_of": lambda left, right, scope: any(_equal(left, c, scope) for c in right),
}

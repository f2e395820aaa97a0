"""Arithmetic of `set` and `list`: exact, total, and empty where there is no answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal, DecimalException
from typing import Any

from webapp.engine.readings import EXACT, as_number, as_text, is_empty, round_to

QUOTIENT_DIGITS = 20
"""Decimals kept by a division that doesn't end, when nobody says how many."""


def compute(op: str, values: Sequence[Any], digits: int | None = None) -> Any:
    """Return `op` over `values`; lists among the values count with their items.

    add, subtract, multiply and divide need a number at each place, or the answer is empty.
    sum, min, max and average pass over what is no number; min and max of texts only compare
    the texts, so that they work on dates. Dividing by zero has no answer. A number is rounded
    to `digits` decimals; None keeps all.
    """
    flat = list(_flat(values))
    try:
        answer = OPERATIONS[op](flat)
    except (DecimalException, ZeroDivisionError):
        return None
    number = as_number(answer)
    return answer if digits is None or number is None else round_to(number, digits)


def _flat(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _numbers(values: Iterable[Any]) -> list[Decimal]:
    return [number for value in values if (number := as_number(value)) is not None]


def _chain(step: Callable[[Decimal, Decimal], Decimal]) -> Callable[[list[Any]], Decimal | None]:
    def run(values: list[Any]) -> Decimal | None:
        numbers = _numbers(values)
        if not numbers or len(numbers) != len(values):
            return None
        total = numbers[0]
        for number in numbers[1:]:
            total = step(total, number)
        return total

    return run


def _divide(left: Decimal, right: Decimal) -> Decimal:
    quotient = EXACT.divide(left, right)
    exponent = quotient.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -QUOTIENT_DIGITS:
        return round_to(quotient, QUOTIENT_DIGITS) or Decimal(0)
    return quotient


def _sum(values: list[Any]) -> Decimal:
    total = Decimal(0)
    for number in _numbers(values):
        total = EXACT.add(total, number)
    return total


def _average(values: list[Any]) -> Decimal | None:
    numbers = _numbers(values)
    return _divide(_sum(numbers), Decimal(len(numbers))) if numbers else None


def _extreme(choose: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
    def run(values: list[Any]) -> Any:
        numbers = _numbers(values)
        texts = [value for value in values if isinstance(value, str) and value]
        return choose(numbers) if numbers else choose(texts) if texts else None

    return run


def _count(values: list[Any]) -> int:
    return sum(not is_empty(value) for value in values)


def _join(values: list[Any]) -> str:
    return ", ".join(as_text(value) for value in values if not is_empty(value))


def _first(values: list[Any]) -> Any:
    return values[0] if values else None


def _last(values: list[Any]) -> Any:
    return values[-1] if values else None


OPERATIONS: dict[str, Callable[[list[Any]], Any]] = {
    "add": _chain(EXACT.add),
    "subtract": _chain(EXACT.subtract),
    "multiply": _chain(EXACT.multiply),
    "divide": _chain(_divide),
    "sum": _sum,
    "min": _extreme(min),
    "max": _extreme(max),
    "average": _average,
    "count": _count,
    "join": _join,
    "first": _first,
    "last": _last,
}

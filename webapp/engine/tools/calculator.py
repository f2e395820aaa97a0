"""Work out arithmetic and comparisons, exactly.

The text is parsed, never run: an allow-list of node types is walked by this module, and
everything else is refused by name.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal, DecimalException
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from webapp.engine import grammar
from webapp.engine.effects import Effect
from webapp.engine.tools.tool import Tool, input_error

MOST_CHARACTERS = 2_000
MOST_NODES = 400
MOST_DEPTH = 40
MOST_BITS = 1_024
MOST_EXPONENT = 64
MOST_TEXT = 10_000
EXACT = Context(prec=320, rounding=ROUND_HALF_UP, Emax=9_999, Emin=-9_999)


class Args(BaseModel):
    model_config = ConfigDict(extra="forbid")

    expression: str = Field(
        title="Calculation",
        description="For example (120 - 20) * 1.19 or total > 500 and days >= 30.",
        min_length=1,
        max_length=MOST_CHARACTERS,
    )
    values: dict[str, Any] = Field(
        default_factory=dict,
        title="Values by name",
        description="Names that the calculation may use.",
        max_length=50,
    )


class Refused(ValueError):
    """The calculation can't be done; the message is a sentence for people."""


def calculate(expression: str, values: dict[str, Any] | None = None) -> Any:
    """Return the answer: a number, a text or true/false.

    Raises:
        Refused: it isn't a calculation, uses an unknown name, or passes a bound.
    """
    if len(expression) > MOST_CHARACTERS:
        raise Refused(f"A calculation may have {MOST_CHARACTERS:,} characters.")
    tree = _parse(expression.strip())
    if sum(1 for _ in ast.walk(tree)) > MOST_NODES:
        raise Refused(f"The calculation has more than {MOST_NODES} parts.")
    return _plain(_Walk(expression.strip(), values or {}).value(tree, MOST_DEPTH))


def _parse(expression: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "1if" and "\d" are answered as wrong below
            return ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Refused(f"“{_short(expression)}” is not a calculation.") from None


class _Walk:
    def __init__(self, source: str, values: dict[str, Any]) -> None:
        self.source = source
        self.values = values

    def value(self, node: ast.expr, depth: int) -> Any:
        if depth <= 0:
            raise Refused(f"The calculation is nested more than {MOST_DEPTH} deep.")
        match node:
            case ast.Constant():
                return _bounded(self._constant(node))
            case ast.Name(id=name):
                if name not in self.values:
                    raise Refused(f"There is no value called “{name}”.")
                return _bounded(_incoming(self.values[name]))
            case ast.UnaryOp(op=op, operand=operand):
                return self._unary(op, self.value(operand, depth - 1))
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(op, self.value(left, depth - 1), self.value(right, depth - 1))
            case ast.BoolOp(op=op, values=parts):
                wanted = isinstance(op, ast.Or)
                return wanted is any(
                    _truth(self.value(part, depth - 1)) is wanted for part in parts
                )
            case ast.Compare(left=first, ops=ops, comparators=rest):
                return self._comparison(first, ops, rest, depth - 1)
        raise Refused("Only numbers, texts, names, + - * / // % **, comparisons, and, or, not, in.")

    def _constant(self, node: ast.Constant) -> Any:
        if isinstance(node.value, float):
            # The digits as written: through float, 0.1 + 0.2 would be 0.30000000000000004.
            written = ast.get_source_segment(self.source, node) or repr(node.value)
            return Decimal(written.replace("_", ""))
        if node.value is None or isinstance(node.value, (bool, int, str)):
            return node.value
        raise Refused(f"{_short(repr(node.value))} is no number or text.")

    def _unary(self, op: ast.unaryop, value: Any) -> Any:
        if isinstance(op, ast.Not):
            return not _truth(value)
        if isinstance(op, ast.Invert):
            raise Refused("~ can't be used here.")
        number = _number(value)
        if isinstance(op, ast.UAdd):
            return number
        return number.copy_negate() if isinstance(number, Decimal) else -number

    def _binary(self, op: ast.operator, left: Any, right: Any) -> Any:
        if isinstance(op, ast.Add) and isinstance(left, str) and isinstance(right, str):
            return _bounded(left + right)
        work = ARITHMETIC.get(type(op))
        if work is None:
            raise Refused("Only + - * / // % and ** work on numbers.")
        try:
            return _bounded(work(_number(left), _number(right)))
        except ZeroDivisionError:
            raise Refused("Dividing by 0 has no answer.") from None
        except DecimalException:
            raise Refused("The answer is too large to write down.") from None

    def _comparison(
        self, first: ast.expr, ops: list[ast.cmpop], rest: list[ast.expr], depth: int
    ) -> bool:
        left = self.value(first, depth)
        for op, node in zip(ops, rest, strict=True):
            right = self.value(node, depth)
            if not _holds(op, left, right):
                return False
            left = right
        return True


def _holds(op: ast.cmpop, left: Any, right: Any) -> bool:
    compare = COMPARISONS.get(type(op))
    if compare is None:
        raise Refused('"is" can\'t be used here; write ==.')
    try:
        return bool(compare(left, right))
    except (TypeError, DecimalException):
        kinds = f"{_kind(left)} and {_kind(right)}"
        raise Refused(f"These can't be compared in this way: {kinds}.") from None


def _within(left: Any, right: Any) -> bool:
    if isinstance(right, (str, list)):
        return left in right
    raise TypeError


def _exact(
    work: Callable[[Context, Decimal, Decimal], Decimal],
) -> Callable[[int | Decimal, int | Decimal], int | Decimal]:
    return lambda left, right: work(EXACT, Decimal(left), Decimal(right))


def _keeping_whole(
    whole: Callable[[int, int], int], work: Callable[[Context, Decimal, Decimal], Decimal]
) -> Callable[[int | Decimal, int | Decimal], int | Decimal]:
    def run(left: int | Decimal, right: int | Decimal) -> int | Decimal:
        if isinstance(left, int) and isinstance(right, int):
            return whole(left, right)
        return work(EXACT, Decimal(left), Decimal(right))

    return run


def _divided(context: Context, left: Decimal, right: Decimal) -> Decimal:
    if not right:
        raise ZeroDivisionError
    quotient = context.divide(left, right)
    exponent = quotient.as_tuple().exponent
    endless = isinstance(exponent, int) and exponent < -28 and quotient.adjusted() > -28
    return context.quantize(quotient, Decimal("1e-28")) if endless else quotient


def _floor(context: Context, left: Decimal, right: Decimal) -> Decimal:
    """Round down as whole numbers do: -7.5 // 2 is -4, where Decimal alone says -3."""
    if not right:
        raise ZeroDivisionError
    rest: Decimal = context.remainder(left, right)
    quotient = context.divide_int(left, right)
    crosses = bool(rest) and (rest < 0) != (right < 0)
    return quotient - 1 if crosses else quotient


def _rest(context: Context, left: Decimal, right: Decimal) -> Decimal:
    return context.subtract(left, context.multiply(_floor(context, left, right), right))


def _power(left: int | Decimal, right: int | Decimal) -> int | Decimal:
    if not -MOST_EXPONENT <= right <= MOST_EXPONENT or right != int(right):
        raise Refused(f"An exponent is a whole number up to {MOST_EXPONENT}.")
    exponent = int(right)
    if isinstance(left, int) and exponent >= 0:
        return int(left**exponent)
    if not left:
        raise ZeroDivisionError
    return EXACT.power(Decimal(left), exponent)


ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], int | Decimal]] = {
    ast.Add: _keeping_whole(operator.add, Context.add),
    ast.Sub: _keeping_whole(operator.sub, Context.subtract),
    ast.Mult: _keeping_whole(operator.mul, Context.multiply),
    ast.Div: _exact(_divided),
    ast.FloorDiv: _keeping_whole(operator.floordiv, _floor),
    ast.Mod: _keeping_whole(operator.mod, _rest),
    ast.Pow: _power,
}
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: _within,
    ast.NotIn: lambda left, right: not _within(left, right),
}


def _incoming(value: Any) -> Any:
    return Decimal(repr(value)) if isinstance(value, float) else value


def _bounded(value: Any) -> Any:
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        raise Refused(f"Whole numbers may have {MOST_BITS:,} bits.")
    if isinstance(value, Decimal) and (not value.is_finite() or abs(value.adjusted()) > 400):
        raise Refused("The answer is too large to write down.")
    if isinstance(value, str) and len(value) > MOST_TEXT:
        raise Refused(f"Texts may have {MOST_TEXT:,} characters.")
    return value


def _number(value: Any) -> int | Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise Refused(f"A number is needed, but {_kind(value)} was given.")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Refused(f"and, or and not need true or false, but {_kind(value)} was given.")
    return value


def _kind(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true/false"
        case int() | Decimal():
            return "a number"
        case str():
            return f"the text “{_short(value)}”"
        case list():
            return "a list"
    return "a record"


def _plain(value: Any) -> Any:
    """A division that comes out even gives a whole number."""
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value.normalize(EXACT) if isinstance(value, Decimal) else value


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


def compute(args: Args) -> dict[str, Any]:
    try:
        return {"answer": calculate(args.expression, args.values)}
    except Refused as reason:
        raise input_error(TOOL, str(reason)) from None


TOOL = Tool(
    name="calculator",
    label="Calculator",
    description="Works out arithmetic and comparisons exactly.",
    args=Args,
    gives=(grammar.Field(name="answer", label="Answer", type="any"),),
    effect=Effect.NONE,
    compute=compute,
)

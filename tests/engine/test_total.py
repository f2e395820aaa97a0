"""Whatever the values are, an operation answers or says in words why not."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, get_args

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from webapp.engine.canonical import from_bytes, to_bytes
from webapp.engine.compute import OPERATIONS, compute
from webapp.engine.conditions import holds
from webapp.engine.fields import fit
from webapp.engine.grammar import Condition, Field, Operator, TypeWord
from webapp.engine.listops import ListOp
from webapp.engine.lists import apply
from webapp.engine.tools.csv_read import Args, Column, read
from webapp.engine.tools.csv_text import Unreadable
from webapp.engine.values import Scope, as_type

OPS: TypeAdapter[list[Any]] = TypeAdapter(list[ListOp])
NAMES = st.sampled_from(["a", "b", "item"])
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["2026-02-28", "0001-01-01", "9999-12-31T23:59:59-14:00", "1,000", "yes"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_condition_is_true_or_false(data: st.DataObject) -> None:
    word = data.draw(st.sampled_from(sorted(set(get_args(Operator)) - {"asks"})))
    ref = [{"value": ["start", "right"]}]
    row: dict[str, Any] = {"value": [{"value": ["start", "left"]}], "is": word, "to": ref}
    match word:
        case "empty" | "not_empty":
            del row["to"]
        case "between":
            row["to"] = [ref, ref]
        case "one_of":
            row["to"] = [ref]
        case "in_last":
            row["to"] = {"n": 100_000, "unit": data.draw(st.sampled_from(["hours", "months"]))}
    inputs = {"left": data.draw(values), "right": data.draw(values)}
    zone = data.draw(st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Kiritimati", "?"]))
    now = {"time": "2026-03-04T12:00:00+00:00"}

    scope = Scope({"start": inputs, "now": now}, facts={"zone": zone})

    assert holds(Condition.model_validate({"all": [row]}), scope) in (True, False)


OPERATIONS_OF_LISTS: list[dict[str, Any]] = [
    {"do": "sort", "by": [{"field": "a", "down": True}, {"field": "b"}]},
    {"do": "unique", "by": ["a"]},
    {"do": "group", "by": ["b"], "take": [
        {"name": "x", "op": op, "field": "a"}
        for op in ("count", "sum", "min", "max", "average", "first", "join")]},
    {"do": "pick", "fields": ["a", "gone"]},
    {"do": "rename", "names": {"a": "b"}},
    {"do": "compute", "name": "x", "op": "divide", "of": [[{"value": ["item", "a"]}], 3]},
    {"do": "flatten", "field": "a"},
    {"do": "join", "with": [{"value": ["start", "rows"]}], "on": "a"},
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(values, max_size=6), st.lists(st.sampled_from(OPERATIONS_OF_LISTS), max_size=4))
def test_a_list_of_anything_can_be_worked_on(rows: list[Any], ops: list[dict[str, Any]]) -> None:
    result = apply(rows, OPS.validate_python(ops), Scope({"start": {"rows": rows}}))

    assert from_bytes(to_bytes(result.items)) is not None


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(OPERATIONS)), st.lists(values, max_size=5), st.integers(-9, 12))
def test_arithmetic_of_anything_has_an_answer_or_none(op: str, of: list[Any], digits: int) -> None:
    to_bytes(compute(op, of, digits))


@settings(max_examples=150, deadline=None)
@given(values, st.sampled_from(get_args(TypeWord)))
def test_anything_can_be_read_as_any_type(value: Any, word: str) -> None:
    as_type(value, word)
    fit([Field(name="a", type=word, of=["x"], items=Field(type="number"))], {"a": value})


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet='ab1.,;"\n\r \t|-', max_size=80) | st.binary(max_size=60))
def test_any_text_is_a_table_or_refused_in_words(content: str | bytes) -> None:
    columns = [Column(name="a", type="number", unique=True), Column(name="b", type="date")]
    for wanted in ([], columns):
        head: Any = b"a;b\n" if isinstance(content, bytes) else "a;b\n"
        with suppress(Unreadable):
            read(head + content, Args(file="", columns=wanted))

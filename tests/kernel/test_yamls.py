"""YAML says what JSON can say, in the meaning of YAML 1.2, and nothing that hides or explodes."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webapp.kernel.yamls import YamlError, dump, load


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("2026-03-04", "2026-03-04"),
        ("2026-03-04T13:02:11Z", "2026-03-04T13:02:11Z"),
        ("13:30", "13:30"),
        ("1_000", "1_000"),
        ("=", "="),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("'null'", "null"),
        ('"5"', "5"),
        ("5", 5),
        ("-12", -12),
        ("007", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("0.10", Decimal("0.10")),
        ("1e3", Decimal("1E+3")),
        (".5", Decimal("0.5")),
        ("a:", {"a": None}),
        ("{on: 1, no: 2}", {"on": 1, "no": 2}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("- a # b\n- c", ["a", "c"]),
        ("---\na: 1\n...\n", {"a": 1}),
    ],
)
def test_what_stands_plainly_means_what_yaml_1_2_says(text: str, value: Any) -> None:
    found = load(text)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "It is empty."),
        ("# only a comment", "It is empty."),
        ("a: 1\nb: &x 2", "Line 2: the anchor &x cannot be used"),
        ("a: 1\nb: *x", "Line 2: the alias *x cannot be used"),
        ("a: !!str 5", "Line 1: the tag tag:yaml.org,2002:str cannot be used"),
        ("a: !python/object:os.system x", "Line 1: the tag !python/object:os.system"),
        ("a: ! x", "Line 1: the tag ! cannot be used"),
        ("- !!set {a}", "Line 1: the tag"),
        ("a: 1\nb: 2\na: 3", "Line 3: the name “a” is there twice"),
        ("a: 1\n---\nb: 2", "Line 2: a second document begins"),
        ("? [1]\n: 2", "Line 1: a name must be a text"),
        ("1: 2", "Line 1: the name 1 is no text; put it in quotes"),
        ("true: 2", "Line 1: the name true is no text"),
        ("~: 2", "Line 1: the name ~ is no text"),
        ("a: .inf", "Line 1: .inf is no number"),
        ("a: .nan", "Line 1: .nan is no number"),
        ("a: 9223372036854775808", "Line 1: a whole number is larger than 64 bits"),
        (f"a: {'9' * 30}", "Line 1: a whole number is larger"),
        ("a: 1e999", "Line 1: a number is too long or too large"),
        (f"a: 0.{'1' * 80}", "Line 1: a number is too long"),
        ('a: "\\0"', "Line 1: a text holds a character that cannot be stored"),
        ("a: \x01", "It is not YAML: control characters are not allowed."),
        ("a: b: c", "It is not YAML: line 1, column 5: mapping values are not allowed"),
        ("\ta: 1", "It is not YAML: line 1, column 1"),
        ("[1, 2", "It is not YAML: line 2, column 1"),
    ],
)
def test_what_is_not_taken_is_said_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(YamlError) as refused:
        load(text)

    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        "{a: " * 250_000,
        "- " * 500_000,
        "? " * 500_000,
        f"[{'1,' * 500_000}]",
        "---\n" * 250_000,
        "- &a x\n" * 140_000,
        "a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        '"' + "a" * 1_000_000,
        "".join(" " * n + "a:\n" for n in range(1_400)),
    ],
    ids=["lists", "records", "dashes", "marks", "commas", "documents", "anchors", "laughs",
         "open", "stairs"],
)  # fmt: skip
def test_a_hostile_megabyte_is_refused_before_it_costs_much(text: str) -> None:
    begun = time.thread_time()
    with pytest.raises(YamlError):
        load(text)

    assert time.thread_time() - begun < 2


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
TRICKY = st.sampled_from(
    ["no", "on", "y", "null", "~", "", "1", "01", "0o7", "0x1", "1e3", ".5", "1.", "1_0", "1:30",
     "-", "?", ":", "a: b", "a #b", "# a", "&a", "*a", "!a", "|", ">", "'", '"', "%a", "@a", "`a`",
     "2026-03-04", "2026-03-04 10:00:00", "=", "<<", ".inf", ".nan", "---", "...", "--- a", "- a",
     "[a", "{a", "\n", " a", "a ", "a\n", "a\n\n", "\na", " a\nb", "a\n b", "a \nb", "a\n ", "\t",
     "a\tb", "a\r\nb", "\r", "\x85", "\u2028", "\ufeff", "\u202e", "\x7f", "a\x1bb", "😀", "[[x]]"]
)  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9),
                max_value=10**9),
    st.decimals("-1e200", "1e200", allow_nan=False).filter(lambda d: len(str(d)) < 60),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, TRICKY),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(TEXTS, TRICKY), inner, max_size=4),
    ),
    max_leaves=20,
)


@given(VALUES)
@example("a\n\n  b\n\n\nc ")
@example({"a": ["\n a", {"b": "x\n"}]})
@example(Decimal(2**63))
@example(-Decimal(2**63) - 1)
@settings(max_examples=400, deadline=None)
def test_what_is_written_is_read_as_it_was(value: Any) -> None:
    assert load(dump(value)) == value


@given(st.one_of(TRICKY, TEXTS))
@settings(max_examples=200, deadline=None)
def test_an_old_reader_takes_our_texts_for_texts_too(text: str) -> None:
    assert yaml.safe_load(dump({"a": text})) == {"a": text}


def test_names_keep_their_order_and_long_texts_their_lines() -> None:
    written = dump({"b": "First.\nSecond.\n", "a": [1, "no"]})

    assert written == "b: |\n  First.\n  Second.\na:\n- 1\n- 'no'\n"

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.engine.errors import StepError
from webapp.engine.ports import Clock, Ports
from webapp.engine.tools import TOOLS
from webapp.engine.tools.calculator import Refused, calculate
from webapp.engine.tools.csv_read import MOST_REJECTED, Args, Column, read
from webapp.engine.tools.csv_text import Unreadable
from webapp.engine.tools.tool import checked


@dataclass
class Shelf:
    """Files by id, in memory."""

    files: dict[str, bytes]

    async def read(self, file_id: str) -> bytes:
        return self.files[file_id]

    async def write(self, content: bytes, name: str, media_type: str) -> str:
        self.files[name] = content
        return name


class NoClock(Clock):
    pass


def use(tool: str, args: dict[str, Any], **files: bytes) -> dict[str, Any]:
    ports = Ports(clock=NoClock(), files=Shelf(files))
    return asyncio.run(TOOLS[tool].use(checked(TOOLS[tool], args), ports))


# Calculator


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("0.1 + 0.2", Decimal("0.3")),
        ("(120 - 20) * 1.19", 119),
        ("10 / 4", Decimal("2.5")),
        ("7 // 2 - 7 % 4", 0),
        ("-7.5 // 2", -4),
        ("-7.5 % 2", Decimal("0.5")),
        ("2 ** 64", 18446744073709551616),
        ("2 ** -2", Decimal("0.25")),
        ("1 < 2 < 3 and not 'a' == 'b'", True),
        ("'v' + 'at' in name", True),
        ("rate * 3", Decimal("4.5")),
        ("-0.1234567890123456789012345678901234", Decimal("-0.1234567890123456789012345678901234")),
        ("True or 1 / 0 > 0", True),
    ],
)
def test_the_calculator_is_exact(expression: str, answer: Any) -> None:
    values = {"name": "private", "rate": Decimal("1.5")}

    assert use("calculator", {"expression": expression, "values": values}) == {"answer": answer}


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('id')", "().__class__", "[1][0]", "[x for x in y]", "lambda: 0",
        "f'{1}'", "x := 1", "print", "print(1)", "1 if True else 2", "{1: 2}", "*a", "1j", "...",
        "None + 1", "~1", "1 & 2", "1 is 1", "await x", "yield", "'%s' % 1", "'a' * 9", "b'a'",
        "1 / 0", "2 ** 65", "2 ** 0.5", "10 ** 64 * 10 ** 64 ** 2", "1e999", "9" * 400,
        "-" * 1900 + "1", "(" * 900 + "1" + ")" * 900, "1+" * 300 + "1", "'" + "a" * 1900 + "'+1",
        "not " * 200 + "True", "1 < 'a'", "1 and 2", "", " ", "\\", "1 +", "\x00", "a b",
        "\ud800", "1_", "0x", "01",
    ],
)  # fmt: skip
def test_the_calculator_refuses_what_is_no_calculation(expression: str) -> None:
    with pytest.raises(StepError) as failure:
        use("calculator", {"expression": expression})

    assert failure.value.code == "E-TOOL-INPUT"
    assert failure.value.proven


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789.+-*/%() <>=!'aeinotrd_\\\n", max_size=60))
def test_the_calculator_answers_or_refuses_and_nothing_else(expression: str) -> None:
    try:
        answer = calculate(expression)
    except Refused:
        return
    assert isinstance(answer, (bool, int, Decimal, str)) or answer is None


# csv.read

COLUMNS = [
    Column(name="number", unique=True, required=True),
    Column(name="due", type="date", formats=["YYYY-MM-DD", "DD.MM.YYYY"]),
    Column(name="amount", type="number", required=True),
]


def table(text: str | bytes, **more: Any) -> Any:
    return read(text, Args.model_validate({"file": "", "columns": COLUMNS, **more}))


def test_rows_are_read_with_their_types() -> None:
    found = table("Number;Due;Amount\nA 1;2026-03-04;1,234.50\nA 2;05.03.2026;1.234,50\nA 3;;7\n")

    assert found.rows == [
        {"number": "A 1", "due": "2026-03-04", "amount": Decimal("1234.50")},
        {"number": "A 2", "due": "2026-03-05", "amount": Decimal("1234.50")},
        {"number": "A 3", "due": None, "amount": Decimal("7")},
    ]
    assert found.rejected == []


def test_bad_rows_are_kept_with_line_column_and_reason() -> None:
    found = table(
        "number;due;amount\nA1;2026-03-04;\n\nA1;2026-03-04;5\n"
        '"A\n2";31.02.2026;5\nA1;2026-03-05;6\nA3;2026-03-04\nA4;;1,250\nA5;;n/a\n;;x\n'
    )

    assert [row["number"] for row in found.rows] == ["A1"]
    assert [(bad["line"], bad["column"], bad["reason"]) for bad in found.rejected] == [
        (2, "amount", "Amount is empty."),
        (5, "due", "Due “31.02.2026” is not a date like YYYY-MM-DD or DD.MM.YYYY."),
        (7, "number", "Number “A1” is in line 4 already."),
        (8, "", "The row has 2 cells, but there are 3 headings."),
        (9, "amount", "Amount “1,250” could mean 1250 or 1.250; set the column's decimal mark."),
        (10, "amount", "Amount “n/a” is not a number."),
        (11, "number", "Number is empty. Amount “x” is not a number."),
    ]
    assert found.rejected[2]["value"] == "A1"


@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    text = "number;due;amount;note\nA1;2026-03-04;5.5;x\n".replace(";", delimiter)

    assert table(text).rows[0]["amount"] == Decimal("5.5")


def test_a_heading_that_has_other_delimiters_does_not_confuse() -> None:
    found = table('number;due;amount;"a,b,c,d,e,f,g"\nA1;;5;x\n')

    assert found.rows[0]["number"] == "A1"


def test_a_quoted_heading_with_another_delimiter_is_read() -> None:
    found = table('"number, full";x\nA1;5\n', columns=[Column(name="n", heading="Number, full")])

    assert found.rows == [{"n": "A1"}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "windows-1252"])
def test_letters_of_several_encodings_are_read(encoding: str) -> None:
    found = table("number;due;amount\nBäckerei;;5\n".encode(encoding))

    assert found.rows[0]["number"] == "Bäckerei"


def test_quoted_cells_may_hold_delimiters_quotes_and_line_breaks() -> None:
    found = table('number;due;amount\r\n"a;""b""\r\nc";;5\r\n')

    assert found.rows[0]["number"] == 'a;"b"\r\nc'


def test_columns_are_found_by_heading_in_any_order_and_spelling() -> None:
    columns = [Column(name="paid_on", type="date"), Column(name="who", heading="The Customer")]
    found = table("the customer,Paid-On\nAda,2026-03-04\n", columns=columns)

    assert found.rows == [{"paid_on": "2026-03-04", "who": "Ada"}]


def test_without_columns_all_are_read_as_text() -> None:
    found = table(f"Größe,1st,Größe,{'x' * 300}\n1,2,3,4\n", columns=[])

    assert list(found.rows[0].values()) == ["1", "2", "3", "4"]


def test_yes_and_no_are_read() -> None:
    found = table("ok\nYes\n0\nmaybe\n", columns=[Column(name="ok", type="boolean")])

    assert found.rows == [{"ok": True}, {"ok": False}]
    assert found.rejected[0]["reason"] == "Ok “maybe” is not yes or no."


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        (b"PK\x03\x04\x14\x00\x06\x00", "a spreadsheet such as .xlsx. Save it as CSV"),
        ("a;b\n1;2\n", "no columns “number”, “due”, “amount”. It has: a, b."),
        ('number;due;amount\n"A1;;5\n', "is never closed"),
        ('number;due;amount\n"A1"x;;5\n', "don't match"),
        (b"number;due;amount\n\x81\x8d;;5\n", "not utf-8 nor"),
        (b"\x89PNG\x00\x00", "binary"),
        ("number;due;amount\n" + "x" * 100_001 + ";;5\n", "over 100,000 characters"),
        ("number;due;amount\nA;;1\nB;;2\nC;;3\n", "more than 2 rows"),
        (",".join(f"c{n}" for n in range(300)), "300 columns"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(content: str | bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words.replace(".", r"\.")):
        table(content, most=2)


def test_the_reasons_of_very_many_bad_rows_are_counted_but_not_all_kept() -> None:
    found = table("number;due;amount\n" + "A;;\n" * (MOST_REJECTED + 5))

    assert (found.rejected_count, len(found.rejected)) == (MOST_REJECTED + 5, MOST_REJECTED)


def test_the_tool_reads_a_file_and_says_what_it_found() -> None:
    content = b"number,amount\nA1,5\nA2,\n"
    args = {"file": {"file": "f", "name": "bills.csv"}, "columns": [
        {"name": "number"}, {"name": "amount", "type": "number", "required": True}]}  # fmt: skip

    result = use("csv.read", args, f=content)

    assert result["rows"] == [{"number": "A1", "amount": Decimal("5")}]
    assert (result["count"], result["rejected_count"]) == (1, 1)
    assert result["rejected"][0]["line"] == 3


def test_a_large_file_is_read_too() -> None:
    content = b"number,amount\n" + b"".join(b"A%d,5.25\n" % n for n in range(20_000))
    args = {"file": {"file": "f"}, "most": 50_000, "columns": [
        {"name": "number"}, {"name": "amount", "type": "number"}]}  # fmt: skip

    assert use("csv.read", args, f=content)["count"] == 20_000


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ({"file": None}, "E-TOOL-INPUT"),
        ({"file": {"file": "f"}, "columns": [{"name": "Bad Name"}]}, "E-TOOL-INPUT"),
        ({"file": {"file": "f"}, "colums": []}, "E-TOOL-INPUT"),
        ({"file": {"file": "f"}}, "E-FILE-CSV"),
    ],
)
def test_the_tool_says_what_is_wrong(args: dict[str, Any], code: str) -> None:
    with pytest.raises(StepError) as failure:
        use("csv.read", args, f=b"")

    assert failure.value.code == code
    assert failure.value.proven


def test_every_tool_describes_its_arguments_for_forms_and_models() -> None:
    for tool in TOOLS.values():
        properties = tool.args.model_json_schema()["properties"]
        assert all("title" in settings for settings in properties.values()), tool.name
        assert tool.gives
        assert tool.label
        assert tool.description

"""The bundled example, run as the worker runs it, against figures worked out here by hand."""

from __future__ import annotations

import asyncio
import csv
import json
import re
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import webapp
from webapp.engine.canonical import from_bytes
from webapp.engine.driver import drive
from webapp.engine.fields import fit
from webapp.engine.journal import End
from webapp.engine.plan import load_plan
from webapp.engine.ports import Ports
from webapp.engine.testing import FakeClock, MemoryJournal

EXAMPLES = Path(webapp.__file__).parent / "gallery" / "examples"
CSV = (EXAMPLES / "overdue_invoices.csv").read_bytes()
PLAN = from_bytes((EXAMPLES / "overdue_invoices.json").read_bytes())
DAY = date(2026, 3, 31)


class Shelf:
    def __init__(self, content: bytes) -> None:
        self.content = content

    async def read(self, file_id: str) -> bytes:
        return {"file_1": self.content}[file_id]

    async def write(self, content: bytes, name: str, media_type: str) -> str:
        raise AssertionError("the example writes no file")


def run(content: bytes = CSV) -> tuple[End, MemoryJournal]:
    plan = load_plan(PLAN)
    inputs, problems = fit(plan.inputs, {"invoices": {"file": "file_1", "name": "overdue.csv"}})
    assert not problems
    journal = MemoryJournal()
    ports = Ports(clock=FakeClock(), files=Shelf(content))
    facts = {"run": {"id": "run_1"}, "zone": "Europe/Berlin"}
    end = asyncio.run(drive(plan, inputs, facts, [], journal, ports))
    assert isinstance(end, End)
    return end, journal


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    end, _ = run()
    assert (end.state, end.problems) == ("done", False), end.error
    assert end.result is not None
    return end.result


def by_hand() -> tuple[dict[str, Decimal], list[str]]:
    """Read the file in another way: totals by customer, and the numbers of the bad rows."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    bad: list[str] = []
    seen: set[str] = set()
    for row in csv.reader(CSV.decode().splitlines()[1:], delimiter=";"):
        number, due, amount = row[0], None, None
        if len(row) == 6:
            due, amount = day_by_hand(row[3]), amount_by_hand(row[4])
        if due is None or amount is None or not row[1] or number in seen:
            bad.append(number)
            continue
        seen.add(number)
        if due < DAY and not row[5]:
            totals[row[1]] += amount
    return totals, bad


def day_by_hand(text: str) -> date | None:
    parts = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", text)
    turned = re.fullmatch(r"(\d\d)\.(\d\d)\.(\d{4})", text)
    numbers = parts.groups() if parts else turned.groups()[::-1] if turned else None
    try:
        return date(*(int(number) for number in numbers)) if numbers else None
    except ValueError:
        return None


def amount_by_hand(text: str) -> Decimal | None:
    """All right amounts of the file have cents."""
    if not re.fullmatch(r"-?[\d.,]+[.,]\d\d", text):
        return None
    return Decimal(re.sub(r"[.,]", "", text)) / 100


def test_the_totals_are_exact(result: dict[str, Any]) -> None:
    totals, _ = by_hand()

    assert {row["customer"]: row["total"] for row in result["totals"]} == totals
    assert len(totals) > 15


def test_the_largest_amount_comes_first(result: dict[str, Any]) -> None:
    amounts = [row["total"] for row in result["totals"]]

    assert amounts == sorted(amounts, reverse=True)


def test_where_nothing_is_overdue_the_summary_says_so() -> None:
    heading = CSV.splitlines()[0]

    end, _ = run(heading + b"\n1;Ada;;2026-12-01;5.00;\n")

    assert end.result is not None
    said = end.result["summary"]
    assert said.startswith(
        "0 invoices of 0 customers are overdue on 31 March 2026, together €0.00."
    )
    assert "Most is owed by nobody: €0.00. 1 rows were read and 0 rejected." in said


def test_every_bad_row_is_kept_with_its_reason(result: dict[str, Any]) -> None:
    _, bad = by_hand()
    lines = CSV.decode().splitlines()
    reasons = " ".join(row["reason"] for row in result["rejected"])

    assert [lines[row["line"] - 1].split(";")[0] for row in result["rejected"]] == bad
    for words in (
        "is empty",
        "already",
        "is not a date",
        "could mean",
        "is not a number",
        "3 cells",
    ):
        assert words in reasons


def test_there_is_one_reminder_for_each_customer(result: dict[str, Any]) -> None:
    reminders = result["reminders"]

    assert [row["customer"] for row in reminders] == [row["customer"] for row in result["totals"]]
    baker = next(row for row in reminders if row["customer"] == "Bäckerei Müller")
    total = by_hand()[0]["Bäckerei Müller"]
    assert baker["text"].startswith("Dear Bäckerei Müller,\n\n")
    assert f"€{total:,.2f}" in baker["text"]
    assert "by 14 April 2026" in baker["text"]


def test_the_summary_says_it_in_two_lines(result: dict[str, Any]) -> None:
    totals, bad = by_hand()
    summary = result["summary"]

    assert f"{len(totals)} customers are overdue on 31 March 2026" in summary
    assert f"together €{sum(totals.values()):,.2f}" in summary
    assert f"{len(bad)} rejected" in summary


def test_it_gives_the_same_result_on_every_day_and_after_every_crash() -> None:
    first, journal = run()
    plan = load_plan(PLAN)
    rows = [record for record in journal.records() if record.path in ("s_1", "s_2")]
    again = MemoryJournal()
    for record in rows:
        record.new = False
        again.rows[(record.path, record.attempt)] = record
    ports = Ports(clock=FakeClock(), files=None)
    facts = {"run": {"id": "run_1"}, "zone": "Europe/Berlin"}
    inputs = {"invoices": {"file": "file_1"}, "day": "2026-03-31"}

    end = asyncio.run(drive(plan, inputs, facts, rows, again, ports))

    assert isinstance(end, End)
    assert end.result == first.result


def test_the_plan_is_written_as_plain_json() -> None:
    assert json.loads((EXAMPLES / "overdue_invoices.json").read_text())["plan"] == 1

"""Money through the real driver: each call of a model is reserved before and closed once behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from tests.engine.drives import Doc, driven, lanes, plan_of, run, text
from webapp.engine.errors import StepError
from webapp.engine.journal import End, HandBack
from webapp.engine.ledger import Rates, Usage
from webapp.engine.providers import Ask, Hooks
from webapp.engine.testing import Died, MemoryJournal, ScriptedModels, fake_ports, priced

PRICES = priced(10, 100)


def agent(step_id: str = "s_1", answer_tokens: int | None = 20, **common: Any) -> Doc:
    inline = {"model": "m", "answer_tokens": answer_tokens}
    return {
        "id": step_id,
        "kind": "agent",
        "with": {"inline": inline, "message": "Hi."},
        **common,
    }


class Server:
    """Answers calls of 8 tokens in and 20 out; counts what it was really sent."""

    def __init__(self, calls: int = 1) -> None:
        self.calls = calls
        self.sent = 0

    async def __call__(self, ask: Ask, hooks: Hooks) -> str:
        for _ in range(self.calls):
            await hooks.money.reserve("m", 8, ask.answer_tokens)
            self.sent += 1
            await asyncio.sleep(0)
            hooks.money.settle(Usage(8, 20))
        return "done"


COST = 8 * 10 + 20 * 100


def test_a_call_is_reserved_durably_before_and_settled_with_its_steps_row() -> None:
    journal, server = MemoryJournal(), Server(2)
    seen: list[int] = []

    async def looks(ask: Ask, hooks: Hooks) -> str:
        await hooks.money.reserve("m", 8, 20)
        seen.append(len(journal.entries))
        hooks.money.settle(Usage(8, 20))
        return await server(ask, hooks)

    run(plan_of(agent()), journal, fake_ports(models=ScriptedModels([looks]), prices=PRICES))

    assert seen == [1]
    assert journal.ledger() == [
        (path, n, kind, COST)
        for path, n in (("s_1", 1), ("s_1", 2), ("s_1", 3))
        for kind in ("reserve", "settle")
    ]
    last = next(batch for batch in journal.batches if batch.records[-1:] and batch.entries[-1:])
    assert last.records[-1].state == "succeeded"
    assert journal.rows["s_1", 1].cost_nano == journal.cost_nano == 3 * COST


@pytest.mark.parametrize("dies_at", range(1, 8))
@pytest.mark.parametrize("dies_after", [False, True])
def test_whatever_dies_each_call_is_paid_once_and_nothing_stays_reserved(
    dies_at: int, dies_after: bool
) -> None:
    journal, server = MemoryJournal(), Server(2)
    journal.dies_at, journal.dies_after = dies_at, dies_after
    plan = plan_of(agent(), text("s_2", "a"), agent("s_3"))
    ports = fake_ports(models=ScriptedModels([server] * 6), prices=PRICES)

    for _ in range(2):
        try:
            end = run(plan, journal, ports)
            break
        except Died:
            continue

    assert isinstance(end, End)
    assert end.state == "done"
    kinds = Counter(entry.kind for entry in journal.entries)
    assert kinds["reserve"] == kinds["settle"] + kinds["interrupted"]
    # A worker that died between its reservation and the sending pays for what was never sent.
    assert 0 <= kinds["reserve"] - server.sent <= 1
    assert journal.cost_nano == kinds["reserve"] * COST
    assert sum(row.cost_nano for row in journal.rows.values()) == journal.cost_nano


def test_a_call_that_was_under_way_when_its_worker_died_counts_as_an_estimate() -> None:
    journal = MemoryJournal()

    async def dies(ask: Ask, hooks: Hooks) -> str:
        await hooks.money.reserve("m", 8, 20)
        raise Died

    ports = fake_ports(models=ScriptedModels([dies, Server()]), prices=PRICES)
    with pytest.raises(Died):
        run(plan_of(agent(cost_usd="0.01")), journal, ports)

    run(plan_of(agent(cost_usd="0.01")), journal, ports)

    assert [(one.n, one.kind, one.estimate) for one in journal.entries] == [
        (1, "reserve", True),
        (1, "interrupted", True),
        (2, "reserve", True),
        (2, "settle", False),
    ]
    row = journal.rows["s_1", 1]
    assert (row.cost_nano, row.tokens_out) == (2 * COST, 40)


def test_what_was_interrupted_counts_against_the_limit() -> None:
    journal = MemoryJournal()

    async def dies(ask: Ask, hooks: Hooks) -> str:
        await hooks.money.reserve("m", 8, 20)
        raise Died

    plan = plan_of(agent(cost_usd="0.000003"))
    ports = fake_ports(models=ScriptedModels([dies, Server()]), prices=PRICES)
    with pytest.raises(Died):
        run(plan, journal, ports)

    end = run(plan, journal, ports)

    assert isinstance(end, End)
    assert (end.error or {})["code"] == "E-COST-RUN"
    assert journal.cost_nano == COST


def test_a_call_that_could_pass_the_limit_is_not_made() -> None:
    journal, server = MemoryJournal(), Server()
    ports = fake_ports(models=ScriptedModels([server] * 3), prices=PRICES)

    end = run(plan_of(agent(cost_usd="0.000002")), journal, ports)

    assert isinstance(end, End)
    assert (end.error or {})["code"] == "E-COST-RUN"
    assert (server.sent, journal.entries) == (0, [])
    assert journal.rows["s_1", 1].error == {
        "attempts": 1,
        "code": "E-COST-RUN",
        "path": "s_1",
        "step": "s_1",
        "text": "This step reached its cost limit, so we stopped it.",
    }


def test_lanes_wait_for_what_others_have_reserved() -> None:
    journal, at_once = MemoryJournal(), []

    async def slow(ask: Ask, hooks: Hooks) -> str:
        await hooks.money.reserve("m", 8, 20)
        at_once.append(len(at_once) + 1)
        await asyncio.sleep(0.01)
        at_once.pop()
        hooks.money.settle(Usage(1, 1))
        return "done"

    plan = plan_of(
        lanes("s_0", [agent("s_1")], [agent("s_2")], [agent("s_3")]),
        limits={"cost_usd": "0.000003"},
    )

    end = run(plan, journal, fake_ports(models=ScriptedModels([slow] * 3), prices=PRICES))

    assert isinstance(end, End)
    assert end.state == "done"
    assert journal.cost_nano == 3 * 110


def test_under_a_limit_an_answer_may_be_as_long_as_it_can_be_paid() -> None:
    journal = MemoryJournal()
    most: list[int | None] = []

    async def asks(ask: Ask, hooks: Hooks) -> str:
        most.append(await hooks.money.reserve("m", 10, ask.answer_tokens))
        hooks.money.settle(Usage(10, 5))
        return "done"

    plan = plan_of(agent(answer_tokens=None, cost_usd="0.00005"), agent("s_2", None))
    run(plan, journal, fake_ports(models=ScriptedModels([asks, asks]), prices=PRICES))

    assert most == [499, None]


def test_a_model_without_a_price_costs_nobody_knows_what_and_that_is_said_once() -> None:
    async def nothing(model: str) -> Rates | None:
        return None

    journal = MemoryJournal()
    ports = fake_ports(models=ScriptedModels([Server(2), Server()]), prices=nothing)

    run(plan_of(agent(), agent("s_2")), journal, ports)

    assert {entry.amount_nano for entry in journal.entries} == {None}
    assert journal.rows["s_1", 1].tokens_out == 40
    notes = [note for event in journal.events for note in event.data.get("notes", [])]
    assert len(notes) == 1
    assert "what it costs is unknown" in notes[0]


def test_a_call_that_was_refused_gives_its_reservation_back() -> None:
    journal = MemoryJournal()

    async def refused(ask: Ask, hooks: Hooks) -> str:
        await hooks.money.reserve("m", 8, 20)
        hooks.money.release()
        raise StepError("E-PROVIDER-KEY", "No.", proven=True, retryable=False)

    run(plan_of(agent()), journal, fake_ports(models=ScriptedModels([refused]), prices=PRICES))

    assert journal.ledger() == [("s_1", 1, "reserve", COST), ("s_1", 1, "release", 0)]
    assert journal.cost_nano == 0


def test_a_cancelled_run_pays_for_the_call_that_was_under_way() -> None:
    journal, cancel, asked = MemoryJournal(), asyncio.Event, asyncio.Event

    async def story() -> Any:
        told, begun = cancel(), asked()

        async def hangs(ask: Ask, hooks: Hooks) -> str:
            await hooks.money.reserve("m", 8, 20)
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                hooks.money.interrupt(Usage(8, 3))
                raise
            return ""

        ports = fake_ports(models=ScriptedModels([hangs]), prices=PRICES)
        task = asyncio.create_task(driven(plan_of(agent()), journal, ports, cancel=told))
        await begun.wait()
        told.set()
        return await asyncio.wait_for(task, 5)

    end = asyncio.run(story())

    assert end == End("cancelled")
    assert journal.ledger()[-1] == ("s_1", 1, "interrupted", 8 * 10 + 3 * 100)
    assert journal.rows["s_1", 1].cost_nano == journal.cost_nano == 380


def test_a_reservation_is_refused_to_a_run_that_is_to_be_cancelled() -> None:
    journal = MemoryJournal()

    async def asks(ask: Ask, hooks: Hooks) -> str:
        journal.cancelled = True
        await hooks.money.reserve("m", 8, 20)
        raise AssertionError("nothing is asked any more")

    end = run(plan_of(agent()), journal, fake_ports(models=ScriptedModels([asks]), prices=PRICES))

    assert end == End("cancelled")
    assert journal.entries == []


def test_rates_below_a_nano_dollar_are_exact() -> None:
    rates = Rates(Decimal("37.5"), Decimal("0.25"), Decimal("3.75"))

    assert rates.cost(Usage(3, 2, 1)) == 79  # 2 * 37.5 + 3.75 + 0.5 = 79.25


def test_a_provider_that_breaks_off_without_a_word_is_charged_what_was_reserved() -> None:
    journal = MemoryJournal()

    async def faulty(ask: Ask, hooks: Hooks) -> str:
        await hooks.money.reserve("m", 8, 20)
        raise KeyError("a fault of ours")

    run(plan_of(agent()), journal, fake_ports(models=ScriptedModels([faulty]), prices=PRICES))

    assert journal.ledger()[-1] == ("s_1", 1, "interrupted", COST)


def test_a_worker_that_has_to_go_pays_for_what_it_cut_off_and_the_next_one_goes_on() -> None:
    journal = MemoryJournal()

    async def story() -> Any:
        stop, begun = asyncio.Event(), asyncio.Event()

        async def hangs(ask: Ask, hooks: Hooks) -> str:
            await hooks.money.reserve("m", 8, 20)
            begun.set()
            await asyncio.Event().wait()
            return ""

        ports = fake_ports(models=ScriptedModels([hangs]), prices=PRICES)
        plan = plan_of(agent())
        task = asyncio.create_task(driven(plan, journal, ports, stop=stop, grace_s=0.0))
        await begun.wait()
        stop.set()
        return await asyncio.wait_for(task, 5)

    assert asyncio.run(story()) == HandBack("stopping")
    assert [entry.kind for entry in journal.entries] == ["reserve", "interrupted"]

    run(plan_of(agent()), journal, fake_ports(models=ScriptedModels([Server()]), prices=PRICES))

    assert [(one.n, one.kind) for one in journal.entries[2:]] == [(2, "reserve"), (2, "settle")]
    assert journal.rows["s_1", 1].cost_nano == journal.cost_nano == 2 * COST

"""Steps that wait for something from outside: a signal, or the end of a run they started."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.engine.drives import driven, http, lanes, plan_of, run, until
from webapp.engine.errors import StepError
from webapp.engine.journal import End, Park
from webapp.engine.mailbox import Arrival, Mailbox
from webapp.engine.plan import Plan
from webapp.engine.testing import Died, MemoryJournal, facts_of, fake_ports

Doc = dict[str, Any]


def waits(step_id: str, name: str = "paid", **more: Any) -> Doc:
    return {"id": step_id, "kind": "wait", "with": {"signal": {"name": name, **more}}}


def sent(number: int, name: str = "paid", data: Any = None) -> Arrival:
    signal = {"id": f"sig_{number}", "by": "Ada", "at": "2026-03-03T15:00:00Z", "data": data}
    return Arrival(f"sig_{number}", "signal", name, signal)


def with_arrivals(*arrivals: Arrival) -> Mailbox:
    box = Mailbox()
    box.put(arrivals)
    return box


def test_a_run_waits_for_a_signal_without_a_worker_and_goes_on_with_it() -> None:
    plan = plan_of(
        waits("s_1"),
        result=[{"name": "sum", "value": [{"value": ["s_1", "signal", "data", "sum"]}]}],
    )
    journal = MemoryJournal()

    assert run(plan, journal) == Park("signal")
    end = run(plan, journal, mailbox=with_arrivals(sent(1, data={"sum": 7})))

    assert end == End("done", result={"sum": 7})


def test_a_signal_that_came_early_is_kept_for_the_step() -> None:
    plan = plan_of(http("s_1"), waits("s_2"))

    assert run(plan, mailbox=with_arrivals(sent(1))) == End("done", result={})


def test_a_signal_is_taken_once_even_over_a_death() -> None:
    plan = plan_of(waits("s_1"), http("s_2"), waits("s_3"))
    journal = MemoryJournal()
    journal.dies_at = 3
    with pytest.raises(Died):
        run(plan, journal, mailbox=with_arrivals(sent(1)))

    parked = run(plan, journal, mailbox=with_arrivals(sent(1)))

    assert parked == Park("signal")
    assert journal.park == Park("signal", heard=1)
    assert journal.states() == {"s_1": "succeeded", "s_2": "succeeded", "s_3": "waiting"}
    both = with_arrivals(sent(1), sent(2))
    assert run(plan, journal, mailbox=both) == End("done", result={})


def test_a_signal_with_another_name_changes_nothing() -> None:
    assert run(plan_of(waits("s_1")), mailbox=with_arrivals(sent(1, "other"))) == Park("signal")


def test_a_signal_that_does_not_come_in_time_fails_the_step_or_not() -> None:
    failing, going_on = MemoryJournal(), MemoryJournal()
    assert isinstance(run(plan_of(waits("s_1", timeout_s=60)), failing), Park)
    for journal in (failing,):
        row = journal.rows[("s_1", 1)]
        journal.rows[("s_1", 1)] = replace(row, due_s=0.0)

    end = run(plan_of(waits("s_1", timeout_s=60)), failing)

    assert isinstance(end, End)
    assert (end.error or {})["code"] == "E-SIGNAL-LATE"
    patient = plan_of(waits("s_1", timeout_s=60, at_timeout="continue"))
    run(patient, going_on)
    going_on.rows[("s_1", 1)] = replace(going_on.rows[("s_1", 1)], due_s=0.0)
    assert run(patient, going_on) == End("done", result={})


@pytest.mark.parametrize("by", ["signal", "time", "date", "child", "person"])
def test_a_step_that_waits_ends_at_its_own_time_limit(by: str) -> None:
    forever = {
        "signal": waits("s_1"),
        "time": {"id": "s_1", "kind": "wait", "with": {"for_s": 900}},
        "date": {"id": "s_1", "kind": "wait", "with": {"until": "2099-01-01T00:00:00Z"}},
        "child": calls("s_1"),
        "person": {"id": "s_1", "kind": "approval", "with": {"who": [{"role": "owner"}]}},
    }[by]
    plan, journal = plan_of(forever | {"timeout_s": 60}), MemoryJournal()
    ports = replace(fake_ports(), runs=Children())

    parked = run(plan, journal, ports)
    assert isinstance(parked, Park)
    assert 59 < (parked.due_in_s or 0) <= 60
    journal.rows[("s_1", 1)] = replace(journal.rows[("s_1", 1)], due_s=0.0)
    end = run(plan, journal, ports)

    assert isinstance(end, End)
    assert (end.error or {})["code"] == "E-TIME"
    assert journal.rows[("s_1", 1)].state == "failed"


def test_a_wait_that_ends_before_its_time_limit_ends_well() -> None:
    step = {"id": "s_1", "kind": "wait", "with": {"for_s": 30}, "timeout_s": 60}
    journal = MemoryJournal()
    run(plan_of(step), journal)
    journal.rows[("s_1", 1)] = replace(journal.rows[("s_1", 1)], due_s=0.0)

    assert run(plan_of(step), journal) == End("done", result={})


def test_a_signal_is_heard_while_other_lanes_work() -> None:
    plan = plan_of(lanes("s_1", [waits("s_2")], [http("s_3")]))
    box = Mailbox()

    async def story() -> Any:
        free = asyncio.Event()

        async def slow(method: str, url: str) -> None:
            await free.wait()

        from webapp.engine.testing import FakeHttp

        journal = MemoryJournal()
        task = asyncio.create_task(driven(plan, journal, fake_ports(FakeHttp(slow)), mailbox=box))
        await until(lambda: box.wanted)
        box.put([sent(1)])
        await until(lambda: journal.states().get("s_1:l0/s_2") == "succeeded")
        free.set()
        return await task

    assert asyncio.run(story()) == End("done", result={})


@dataclass
class Children:
    """Starts runs as the database would: one for each path."""

    started: dict[str, tuple[str, Any, Mapping[str, Any]]] = field(default_factory=dict)
    trouble: StepError | None = None
    limits: dict[str, int | None] = field(default_factory=dict)
    spends: int = 1 << 60
    """What a run may cost by its own plan."""

    async def start(
        self,
        path: str,
        workflow: str,
        version: str | int,
        inputs: Mapping[str, Any],
        limit_nano: int | None,
    ) -> tuple[str, int]:
        await asyncio.sleep(0)
        if self.trouble is not None:
            raise self.trouble
        self.started.setdefault(path, (workflow, version, dict(inputs)))
        self.limits[path] = limit_nano
        return f"run_{path}", min(limit_nano or 0, self.spends)


def calls(step_id: str, **more: Any) -> Doc:
    settings = {"workflow": "wf_1", "inputs": {"who": "Ada"}, **more}
    return {"id": step_id, "kind": "workflow", "with": settings}


def ended(path: str, state: str = "done", **more: Any) -> Arrival:
    return Arrival(f"end_{path}", "child", path, {"state": state, **more})


def test_a_step_runs_another_workflow_and_goes_on_with_what_it_gives() -> None:
    plan = plan_of(calls("s_1"), result=[{"name": "said", "value": [{"value": ["s_1", "said"]}]}])
    journal, runs = MemoryJournal(), Children()
    ports = replace(fake_ports(), runs=runs)

    assert run(plan, journal, ports) == Park("child")
    assert runs.started == {"s_1": ("wf_1", "live", {"who": "Ada"})}
    end = run(plan, journal, ports, mailbox=with_arrivals(ended("s_1", result={"said": "Hi"})))

    assert end == End("done", result={"said": "Hi"})
    assert len(runs.started) == 1


def test_a_run_that_did_not_end_well_fails_the_step_with_its_reason() -> None:
    journal, ports = MemoryJournal(), replace(fake_ports(), runs=Children())
    run(plan_of(calls("s_1")), journal, ports)
    failed = ended("s_1", "failed", error={"text": "No such customer."})

    end = run(plan_of(calls("s_1")), journal, ports, mailbox=with_arrivals(failed))

    assert isinstance(end, End)
    error = end.error or {}
    assert (error["code"], error["facts"]["run"]) == ("E-CHILD", "run_s_1")
    assert "No such customer." in error["text"]


def test_the_cause_of_many_runs_that_started_each_other_is_said_once() -> None:
    said = "The workflow that this step started did not finish. No such customer."
    journal, ports = MemoryJournal(), replace(fake_ports(), runs=Children())
    run(plan_of(calls("s_1")), journal, ports)
    failed = ended("s_1", "failed", error={"text": said})

    end = run(plan_of(calls("s_1")), journal, ports, mailbox=with_arrivals(failed))

    assert isinstance(end, End)
    assert (end.error or {})["text"] == said


def test_a_step_need_not_wait_for_the_run_it_started() -> None:
    plan = plan_of(
        calls("s_1", wait=False), result=[{"name": "run", "value": [{"value": ["s_1", "run"]}]}]
    )

    end = run(plan, ports=replace(fake_ports(), runs=Children()))

    assert end == End("done", result={"run": "run_s_1"})


def test_a_step_that_is_not_needed_any_more_waits_for_no_run() -> None:
    plan = plan_of(lanes("s_1", [calls("s_2")], [http("s_3")], until="first"))
    journal, runs = MemoryJournal(), Children()

    end = run(plan, journal, replace(fake_ports(), runs=runs))

    assert isinstance(end, End)
    assert journal.states()["s_1:l0/s_2"] in {"skipped", "cancelled"}


def test_workflows_start_each_other_ten_deep_at_most() -> None:
    facts = facts_of()
    facts["run"]["depth"] = 10

    async def deep() -> Any:
        from webapp.engine.driver import drive

        ports = replace(fake_ports(), runs=Children())
        return await drive(plan_of(calls("s_1")), {}, facts, [], MemoryJournal(), ports)

    end = asyncio.run(deep())

    assert isinstance(end, End)
    assert (end.error or {})["code"] == "E-RUN-DEPTH"


# What a run costs that a step waits for


def limited(*lanes_: list[Doc], usd: str = "0.00001") -> Plan:
    return plan_of(lanes("s_p", *lanes_), limits={"cost_usd": usd})


def test_a_run_gets_what_the_limits_around_its_step_leave_and_nobody_else_spends_it() -> None:
    plan = limited([calls("s_1")], [calls("s_2")])
    journal, runs = MemoryJournal(), Children()
    ports = replace(fake_ports(), runs=runs)

    assert run(plan, journal, ports) == Park("child")
    assert runs.limits == {"s_p:l0/s_1": 10_000}

    box = with_arrivals(ended("s_p:l0/s_1", cost=4_000))
    assert run(plan, journal, ports, mailbox=box) == Park("child")
    assert runs.limits["s_p:l1/s_2"] == 6_000

    box = with_arrivals(ended("s_p:l0/s_1", cost=4_000), ended("s_p:l1/s_2", "failed", cost=6_000))
    end = run(plan, journal, ports, mailbox=box)
    assert isinstance(end, End)
    assert {path: row.cost_nano for (path, _), row in journal.rows.items() if row.cost_nano} == {
        "s_p:l0/s_1": 4_000,
        "s_p:l1/s_2": 6_000,
    }


def test_runs_that_cannot_spend_hold_nothing() -> None:
    plan = limited([calls("s_1")], [calls("s_2")])
    runs = Children(spends=0)

    assert run(plan, ports=replace(fake_ports(), runs=runs)) == Park("child")

    assert set(runs.limits) == {"s_p:l0/s_1", "s_p:l1/s_2"}


def test_what_is_held_for_a_run_stays_held_when_another_worker_goes_on() -> None:
    plan = limited(
        [calls("s_1")], [{"id": "s_w", "kind": "wait", "with": {"for_s": 1}}, calls("s_2")]
    )
    journal, runs = MemoryJournal(), Children(spends=7_000)
    ports = replace(fake_ports(), runs=runs)
    run(plan, journal, ports)
    journal.rows["s_p:l1/s_w", 1].due_s = 0.0

    assert run(plan, journal, ports) == Park("child")

    assert runs.limits == {"s_p:l0/s_1": 10_000, "s_p:l1/s_2": 3_000}


def test_what_a_cancelled_step_held_is_free_again() -> None:
    first = lanes("s_f", [calls("s_1")], [http("s_3")], until="first")
    journal, runs = MemoryJournal(), Children()
    plan = plan_of(first, calls("s_2"), limits={"cost_usd": "0.00001"})

    assert run(plan, journal, replace(fake_ports(), runs=runs)) == Park("child")

    assert runs.limits["s_2"] == 10_000

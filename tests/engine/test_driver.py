"""What a run commits, when, and how it ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.engine.drives import driven, each, http, lanes, plan_of, run, text, until
from webapp.engine.errors import StepError
from webapp.engine.holders import FRAMES
from webapp.engine.journal import HOLDERS, End, HandBack, LostLease, Park, idem_key
from webapp.engine.plan import Limits
from webapp.engine.ports import HttpAnswer
from webapp.engine.steps import KINDS
from webapp.engine.testing import (
    TUESDAY,
    Died,
    FakeClock,
    FakeHttp,
    MemoryJournal,
    answered,
    fake_ports,
)

NO_WAIT = {"times": 2, "wait_s": 0}


async def no_answer(method: str, url: str) -> HttpAnswer | None:
    await asyncio.Event().wait()
    return None


def test_five_steps_without_effect_are_one_commit() -> None:
    journal = MemoryJournal()

    end = run(plan_of(*(text(f"s_{n}", f"{n}") for n in range(5))), journal)

    assert end == End("done", result={})
    assert journal.commits == 1
    assert journal.done == 5
    assert [event.type for event in journal.events] == ["step.done"] * 5 + ["run.done"]


def test_a_tool_that_only_calculates_is_settled_in_place_and_keeps_what_went_in() -> None:
    journal = MemoryJournal()
    sums = [
        {
            "id": f"s_{n}",
            "kind": "tool",
            "with": {"tool": "calculator", "args": {"expression": words}},
        }
        for n, words in enumerate(("2 + 2", "2 +"))
    ]

    end = run(plan_of(*sums), journal)

    assert isinstance(end, End)
    assert (end.state, (end.error or {})["code"]) == ("failed", "E-TOOL-INPUT")
    assert journal.commits == 1
    rows = [journal.rows[f"s_{n}", 1] for n in range(2)]
    assert [(row.state, row.result) for row in rows] == [
        ("succeeded", {"answer": 4}),
        ("failed", None),
    ]
    assert b"2 + 2" in (rows[0].request or b"")


def test_a_chain_commits_finished_and_started_together() -> None:
    journal = MemoryJournal()

    run(plan_of(http("s_1"), http("s_2"), http("s_3")), journal)

    assert journal.commits == 4
    assert [[r.state for r in b.records] for b in journal.batches] == [
        ["intent"],
        ["succeeded", "intent"],
        ["succeeded", "intent"],
        ["succeeded"],
    ]
    assert journal.rows[("s_2", 1)].idem_key == idem_key("run_1", "s_2")


def test_all_lanes_start_in_one_commit_and_end_in_one() -> None:
    journal = MemoryJournal()
    plan = plan_of(lanes("s_p", *([http(f"s_{n}")] for n in range(20))))

    run(plan, journal)

    assert journal.commits == 2
    assert len(journal.batches[0].records) == 21


def test_at_once_of_the_run_bounds_all_blocks_together() -> None:
    web = FakeHttp()
    steps = [each(f"s_e{n}", [1, 2, 3, 4], http(f"s_{n}"), at_once=4) for n in range(3)]
    plan = plan_of(lanes("s_p", *([step] for step in steps)), limits={"at_once": 5})

    end = run(plan, ports=fake_ports(web))

    assert isinstance(end, End)
    assert end.state == "done"
    assert (web.most_at_once, len(web.seen)) == (5, 12)


def test_many_quick_steps_are_committed_in_portions() -> None:
    journal = MemoryJournal()

    run(plan_of(each("s_e", list(range(100)), text("s_1", "a"))), journal)

    assert max(len(batch.records) for batch in journal.batches) <= 34
    assert journal.done == 101


def test_values_of_earlier_steps_reach_the_request() -> None:
    web = FakeHttp()
    plan = plan_of(
        http("s_1", "http://t/one"),
        http("s_2", [{"text": "http://t/two?"}, {"value": ["s_1", "status"]}]),
        result=[{"name": "status", "value": [{"value": ["s_2", "status"]}]}],
    )

    end = run(plan, ports=fake_ports(web))

    assert web.seen[1] == ("GET", "http://t/two?200")
    assert end == End("done", result={"status": 200})


def test_what_has_no_effect_is_tried_again_twice() -> None:
    replies = [answered("no", 503), answered("no", 503), answered("yes")]

    async def reply(method: str, url: str) -> HttpAnswer:
        return replies.pop(0)

    journal = MemoryJournal()
    step = http("s_1", retry=NO_WAIT)

    end = run(plan_of(step), journal, fake_ports(FakeHttp(reply)))

    assert end == End("done", result={})
    states = [journal.rows[("s_1", attempt)].state for attempt in (1, 2, 3)]
    assert states == ["failed", "failed", "succeeded"]
    assert journal.rows[("s_1", 1)].request == journal.rows[("s_1", 3)].request
    assert "problems" not in (end.result or {})


def test_waits_between_attempts_grow() -> None:
    async def reply(method: str, url: str) -> HttpAnswer:
        return answered("no", 503)

    journal = MemoryJournal()
    retry = {"times": 3, "wait_s": 100, "grow": 3, "most_s": 500, "jitter": False}
    plan, ports = plan_of(http("s_1", retry=retry)), fake_ports(FakeHttp(reply))
    waits = []

    for _ in range(3):
        outcome = run(plan, journal, ports)
        assert isinstance(outcome, Park)
        waits.append(round(outcome.due_in_s or 0))
        for row in journal.rows.values():
            row.due_s = 0.0
    end = run(plan, journal, ports)

    assert waits == [100, 300, 500]
    assert isinstance(end, End)
    assert (end.state, (end.error or {})["attempts"]) == ("failed", 4)


def test_what_must_happen_once_is_tried_again_only_when_nothing_happened() -> None:
    tried = []

    async def reply(method: str, url: str) -> HttpAnswer:
        tried.append(url)
        if len(tried) == 1:
            raise StepError("E-HTTP-REACH", "Nobody there.", proven=True)
        raise StepError("E-HTTP-REACH", "Cut off.", proven=False)

    journal = MemoryJournal()
    plan = plan_of(http("s_1", method="POST", retry={"times": 5, "wait_s": 0}))

    end = run(plan, journal, fake_ports(FakeHttp(reply)))

    assert end == End("needs_review")
    assert len(tried) == 2
    assert journal.rows[("s_1", 2)].state == "unknown"


def test_a_time_out_of_what_must_happen_once_is_in_doubt() -> None:
    journal = MemoryJournal()
    plan = plan_of(lanes("s_p", [http("s_1", method="POST", timeout_s=1)], [http("s_2")]))

    async def reply(method: str, url: str) -> HttpAnswer | None:
        return await no_answer(method, url) if method == "POST" else None

    end = run(plan, journal, fake_ports(FakeHttp(reply)))

    assert end == End("needs_review")
    assert journal.states() == {"s_p": "intent", "s_p:l0/s_1": "unknown", "s_p:l1/s_2": "succeeded"}


def test_a_doubt_that_a_person_has_settled_lets_the_run_go_on() -> None:
    journal = MemoryJournal()
    plan = plan_of(http("s_1", method="POST", timeout_s=1), text("s_2", "after"))
    run(plan, journal, fake_ports(FakeHttp(no_answer)))
    journal.rows[("s_1", 1)].state = "succeeded"
    journal.rows[("s_1", 1)].result = {"status": 200}

    end = run(plan, journal)

    assert end == End("done", result={})
    assert journal.states() == {"s_1": "succeeded", "s_2": "succeeded"}


def test_do_it_again_sends_the_same_bytes_with_the_same_key() -> None:
    journal, web = MemoryJournal(), FakeHttp()
    plan = plan_of(http("s_1", method="POST", timeout_s=1))
    run(plan, journal, fake_ports(FakeHttp(no_answer)))
    journal.rows[("s_1", 1)].error = {"decided": "again"}

    end = run(plan, journal, fake_ports(web))

    assert end == End("done", result={})
    assert list(web.keys) == [idem_key("run_1", "s_1")]
    first, second = journal.rows[("s_1", 1)], journal.rows[("s_1", 2)]
    assert (first.request, first.idem_key) == (second.request, second.idem_key)


def test_a_failure_branch_sees_what_went_wrong() -> None:
    async def reply(method: str, url: str) -> HttpAnswer:
        return answered("no", 404)

    journal = MemoryJournal()
    said = [{"value": ["s_1", "error", "code"]}, {"text": " "}, {"value": ["s_1", "failed"]}]
    branch = {"do": "branch", "steps": [text("s_2", said)]}
    plan = plan_of(
        http("s_1", on_failure=branch),
        text("s_3", [{"text": "failed: "}, {"value": ["s_1", "failed"]}]),
    )

    end = run(plan, journal, fake_ports(FakeHttp(reply)))

    assert end == End("done", result={}, problems=True)
    assert journal.rows[("s_1!/s_2", 1)].result == {"text": "E-HTTP-4XX "}
    assert journal.rows[("s_3", 1)].result == {"text": "failed: yes"}


def test_a_failed_item_is_told_and_the_others_go_on() -> None:
    async def reply(method: str, url: str) -> HttpAnswer | None:
        return answered("no", 404) if url.endswith("/b") else None

    collect = [{"name": "got", "value": [{"value": ["s_1", "status"]}]}]
    url = [{"text": "http://t/"}, {"value": ["s_e", "item"]}]
    plan = plan_of(
        each("s_e", ["a", "b", "c"], http("s_1", url), collect=collect),
        result=[{"name": "all", "value": [{"value": ["s_e"]}]}],
    )

    end = run(plan, ports=fake_ports(FakeHttp(reply)))

    assert isinstance(end, End)
    assert end.problems
    result = (end.result or {})["all"]
    assert result["items"] == [{"got": 200}, {"got": 200}]
    assert result["count"] == 2
    assert [(one["index"], one["code"]) for one in result["failed"]] == [(1, "E-HTTP-4XX")]


def test_a_condition_that_could_not_compare_says_so_beside_the_branch() -> None:
    when = {"all": [{"value": "many", "is": "more", "to": 3}]}
    branches = [{"id": "yes", "when": when, "steps": []}]
    journal = MemoryJournal()

    run(plan_of({"id": "s_1", "kind": "if", "with": {"branches": branches}}), journal)

    result = journal.rows[("s_1", 1)].result
    assert result["branch"] == "otherwise"
    assert len(result["notes"]) == 1


def test_a_list_that_is_too_long_starts_nothing() -> None:
    web = FakeHttp()

    end = run(plan_of(each("s_e", [1, 2, 3], http("s_1"), most=2)), ports=fake_ports(web))

    assert isinstance(end, End)
    assert (end.state, (end.error or {})["code"]) == ("failed", "E-LIST-LIMIT")
    assert web.seen == []


def test_the_first_lane_wins_and_the_rest_is_not_needed() -> None:
    async def reply(method: str, url: str) -> HttpAnswer | None:
        return await no_answer(method, url) if url.endswith("s_1") else None

    journal = MemoryJournal()
    plan = plan_of(lanes("s_p", [http("s_1")], [http("s_2")], until="first"), text("s_3", "a"))

    end = run(plan, journal, fake_ports(FakeHttp(reply)))

    assert end == End("done", result={})
    assert journal.rows[("s_p", 1)].result == {"finished": ["l1"], "failed": []}
    lost = journal.rows[("s_p:l0/s_1", 1)]
    assert (lost.state, lost.reason) == ("skipped", "not_needed")


def test_a_lane_starts_when_those_it_needs_have_finished() -> None:
    web = FakeHttp()
    step = lanes("s_p", [http("s_1")], [http("s_2")], [http("s_3")])
    step["with"]["lanes"][0]["needs"] = ["l1", "l2"]

    run(plan_of(step), ports=fake_ports(web))

    assert web.seen[-1] == ("GET", "http://t/s_1")


def test_stop_ends_the_run_from_inside() -> None:
    stop = {"id": "s_2", "kind": "stop", "with": {"as": "failed", "message": "Enough."}}
    journal = MemoryJournal()
    plan = plan_of(lanes("s_p", [http("s_1"), stop], [http("s_3"), http("s_4")]), text("s_5", "a"))

    end = run(plan, journal)

    assert isinstance(end, End)
    assert (end.state, (end.error or {})["text"]) == ("failed", "Enough.")
    assert "s_5" not in journal.states()


def test_cancel_ends_what_runs() -> None:
    async def story() -> tuple[object, MemoryJournal]:
        journal, web, cancel = MemoryJournal(), FakeHttp(no_answer), asyncio.Event()
        plan = plan_of(http("s_1"), http("s_2"))
        task = asyncio.create_task(driven(plan, journal, fake_ports(web), cancel=cancel))
        await until(lambda: web.seen)
        cancel.set()
        return await task, journal

    end, journal = asyncio.run(story())

    assert end == End("cancelled")
    assert journal.states() == {"s_1": "cancelled"}
    assert journal.events[-1].type == "run.cancelled"


def test_a_journal_that_refuses_intents_cancels_the_run_and_keeps_what_was_done() -> None:
    journal, web = MemoryJournal(), FakeHttp()

    async def reply(method: str, url: str) -> None:
        journal.cancelled = True

    web.reply = reply

    end = run(plan_of(http("s_1"), http("s_2")), journal, fake_ports(web))

    assert end == End("cancelled")
    assert journal.states() == {"s_1": "succeeded", "s_2": "cancelled"}
    assert len(web.seen) == 1


def test_a_cancel_waits_a_moment_for_what_must_not_be_in_doubt() -> None:
    async def story() -> tuple[object, MemoryJournal]:
        journal, cancel, answer = MemoryJournal(), asyncio.Event(), asyncio.Event()

        async def reply(method: str, url: str) -> None:
            cancel.set()
            await asyncio.sleep(0)
            await answer.wait()

        plan = plan_of(http("s_1", method="POST"), http("s_2"))
        ports = fake_ports(FakeHttp(reply))
        task = asyncio.create_task(driven(plan, journal, ports, cancel=cancel))
        await until(cancel.is_set)
        await asyncio.sleep(0.01)
        answer.set()
        return await task, journal

    end, journal = asyncio.run(story())

    assert end == End("cancelled")
    assert journal.states() == {"s_1": "succeeded"}


def test_a_worker_that_goes_lets_steps_finish_and_starts_none() -> None:
    async def story() -> tuple[object, MemoryJournal]:
        journal, stop, answer = MemoryJournal(), asyncio.Event(), asyncio.Event()

        async def reply(method: str, url: str) -> None:
            stop.set()
            await answer.wait()

        plan = plan_of(http("s_1"), http("s_2"))
        task = asyncio.create_task(
            driven(plan, journal, fake_ports(FakeHttp(reply)), stop=stop, grace_s=5)
        )
        await until(stop.is_set)
        await asyncio.sleep(0.01)
        answer.set()
        return await task, journal

    outcome, journal = asyncio.run(story())

    assert outcome == HandBack()
    assert journal.states() == {"s_1": "succeeded"}
    assert run(plan_of(http("s_1"), http("s_2")), journal) == End("done", result={})


@pytest.mark.parametrize("how", ["refused", "told"])
def test_a_run_that_is_to_pause_finishes_all_that_is_at_work_however_long_it_takes(
    how: str,
) -> None:
    async def story() -> tuple[object, MemoryJournal, FakeHttp]:
        journal, pause, answers = MemoryJournal(), asyncio.Event(), asyncio.Semaphore(0)

        async def reply(method: str, url: str) -> None:
            await answers.acquire()

        web = FakeHttp(reply)
        task = asyncio.create_task(
            driven(plan, journal, fake_ports(web), pause=pause, grace_s=0.001)
        )
        await until(lambda: len(web.seen) == 2)
        if how == "refused":
            journal.paused = True
        else:
            pause.set()
        for _ in range(2):
            await asyncio.sleep(0.02)
            answers.release()
        return await asyncio.wait_for(task, 2), journal, web

    plan = plan_of(lanes("s_9", [http("s_1"), http("s_2")], [http("s_3"), http("s_4")]))
    outcome, journal, web = asyncio.run(story())

    assert (outcome, len(web.seen)) == (HandBack("paused"), 2)
    assert {journal.states()[path] for path in ("s_9:l0/s_1", "s_9:l1/s_3")} == {"succeeded"}
    journal.paused, later = False, FakeHttp()
    assert isinstance(run(plan, journal, fake_ports(later)), End)
    assert len(later.seen) == 2


def test_a_run_that_is_to_pause_does_not_park() -> None:
    journal = MemoryJournal()
    journal.paused = True
    wait = {"id": "s_1", "kind": "wait", "with": {"for_s": 3600}}

    assert run(plan_of(wait), journal) == HandBack("paused")
    journal.paused = False
    assert isinstance(run(plan_of(wait), journal), Park)


def test_a_list_that_has_just_begun_is_paused_with_what_it_had_decided() -> None:
    journal = MemoryJournal()
    journal.paused = True  # from the first commit on
    wait = {"id": "s_2", "kind": "wait", "with": {"for_s": 3600}}
    list_of = {"id": "s_1", "kind": "each", "with": {"list": {"list": [1]}, "steps": [wait]}}

    assert run(plan_of(list_of), journal) == HandBack("paused")
    assert journal.commits <= 4
    assert journal.rows["s_1", 1].state == "intent"


def test_the_kinds_whose_rows_intend_nothing_outside_are_those_that_hold_steps() -> None:
    assert HOLDERS == FRAMES.keys() == {name for name, kind in KINDS.items() if kind.container}


def test_a_step_that_outlasts_the_grace_is_done_again_by_the_next_worker() -> None:
    async def story() -> tuple[object, MemoryJournal]:
        journal, stop = MemoryJournal(), asyncio.Event()
        web = FakeHttp(no_answer)
        ports = fake_ports(web)
        task = asyncio.create_task(
            driven(plan_of(http("s_1")), journal, ports, stop=stop, grace_s=0.01)
        )
        await until(lambda: web.seen)
        stop.set()
        return await task, journal

    outcome, journal = asyncio.run(story())

    assert outcome == HandBack()
    assert journal.states() == {"s_1": "intent"}
    assert run(plan_of(http("s_1")), journal) == End("done", result={})
    assert [event.type for event in journal.events].count("step.resumed") == 1


def test_a_worker_that_lost_its_lease_writes_nothing_more() -> None:
    journal = MemoryJournal()

    async def reply(method: str, url: str) -> None:
        journal.lost = True

    with pytest.raises(LostLease):
        run(plan_of(http("s_1"), http("s_2")), journal, fake_ports(FakeHttp(reply)))

    assert journal.states() == {"s_1": "intent"}


def test_who_finds_the_lease_lost_when_something_is_about_to_leave_writes_no_outcome() -> None:
    async def lost(method: str, url: str) -> None:
        raise LostLease

    journal = MemoryJournal()
    with pytest.raises(LostLease):
        run(plan_of(http("s_1", method="POST")), journal, fake_ports(FakeHttp(lost)))

    assert journal.states() == {"s_1": "intent"}


def test_a_wait_gives_the_lease_back_and_goes_on_when_it_is_due() -> None:
    journal, clock = MemoryJournal(), FakeClock()
    wait = {"id": "s_1", "kind": "wait", "with": {"until": "2026-03-04T12:00:00+00:00"}}
    plan, ports = plan_of(wait, text("s_2", "a")), fake_ports(clock=clock)

    parked = run(plan, journal, ports)
    early = run(plan, journal, ports)
    clock.moment = TUESDAY + timedelta(days=1)
    end = run(plan, journal, ports)

    assert parked == early == Park("time", due_at=TUESDAY + timedelta(hours=22))
    assert end == End("done", result={})
    assert journal.rows[("s_1", 1)].result == {"at": "2026-03-04T15:00:00+01:00"}


def test_a_wait_is_not_begun_by_a_run_that_is_to_be_cancelled() -> None:
    journal = MemoryJournal()
    wait = {"id": "s_1", "kind": "wait", "with": {"for_s": 1000}}
    plan = plan_of(wait)
    assert run(plan, journal) == Park("time", due_in_s=journal.park and journal.park.due_in_s)
    journal.cancelled = True

    assert run(plan, journal) == End("cancelled")
    assert journal.states() == {"s_1": "cancelled"}


def test_a_short_wait_is_waited_where_it_is() -> None:
    journal = MemoryJournal()
    wait = {"id": "s_1", "kind": "wait", "with": {"for_s": 0.01}}

    assert run(plan_of(wait), journal) == End("done", result={})
    assert journal.park is None


def test_a_run_that_takes_too_long_is_stopped() -> None:
    journal = MemoryJournal()
    limits = Limits(seconds=60)

    end = run(
        plan_of(http("s_1")),
        journal,
        fake_ports(FakeHttp(no_answer)),
        limits=limits,
        spent_s=59.95,
    )

    assert isinstance(end, End)
    assert (end.state, (end.error or {})["code"]) == ("failed", "E-RUN-TIME")
    assert "1 minute" in (end.error or {})["text"]
    assert journal.states() == {"s_1": "cancelled"}


def test_a_run_ends_at_its_limit_of_steps() -> None:
    plan = plan_of(each("s_e", [1, 2, 3, 4, 5], text("s_1", "a")), limits={"steps": 4})

    end = run(plan)

    assert isinstance(end, End)
    assert (end.state, (end.error or {})["code"]) == ("failed", "E-STEPS-LIMIT")


NEVER = {"all": [{"value": 1, "is": "equal", "to": 2}]}
NUMBERS = [{"value": ["start", "numbers"]}]


@pytest.mark.parametrize(
    "inner",
    [
        {"id": "s_2", "kind": "each", "with": {"list": NUMBERS}},
        {
            "id": "s_2",
            "kind": "repeat",
            "with": {"until": NEVER, "most": 90, "at_limit": "continue"},
        },
    ],
    ids=["lists in lists", "rounds in lists"],
)
def test_what_goes_round_without_a_step_counts_so_that_it_ends(inner: dict[str, Any]) -> None:
    outer = {"id": "s_1", "kind": "each", "with": {"list": NUMBERS, "steps": [inner]}}
    count = [{"name": "n", "value": [{"value": ["s_1", "count"]}]}]

    ended = [
        run(plan_of(outer, result=count), inputs={"numbers": list(range(many))})
        for many in (90, 400)
    ]

    assert ended[0] == End("done", result={"n": 90})
    assert isinstance(ended[1], End)
    assert (ended[1].error or {})["code"] == "E-STEPS-LIMIT"


def test_a_run_that_died_at_its_limit_still_ends_there() -> None:
    journal = MemoryJournal()
    block = [http("s_1"), http("s_2"), http("s_3")]
    plan = plan_of(lanes("s_p", block, [http("s_4", method="PUT")]), limits={"steps": 4})
    journal.dies_at, journal.dies_after = 2, True
    with pytest.raises(Died):
        run(plan, journal)

    end = run(plan, journal)

    assert isinstance(end, End)
    assert (end.error or {})["code"] == "E-STEPS-LIMIT"
    assert "s_3" not in str(journal.states().values())


def test_a_cancel_before_the_first_step_starts_nothing() -> None:
    async def story() -> tuple[object, FakeHttp, MemoryJournal]:
        journal, web, cancel = MemoryJournal(), FakeHttp(), asyncio.Event()
        cancel.set()
        end = await driven(plan_of(http("s_1")), journal, fake_ports(web), cancel=cancel)
        return end, web, journal

    end, web, journal = asyncio.run(story())

    assert end == End("cancelled")
    assert (web.seen, journal.states()) == ([], {})


def test_a_fault_in_a_step_fails_the_step_and_says_nothing_of_the_fault() -> None:
    async def reply(method: str, url: str) -> HttpAnswer:
        raise ZeroDivisionError("secret")

    end = run(plan_of(http("s_1")), ports=fake_ports(FakeHttp(reply)))

    assert isinstance(end, End)
    assert (end.state, (end.error or {})["code"]) == ("failed", "E-OURS")
    assert "secret" not in str(end)


def test_steps_that_are_off_are_passed_by() -> None:
    journal = MemoryJournal()
    plan = plan_of(
        text("s_1", "a", off=True), text("s_2", [{"text": "("}, {"value": ["s_1", "text"]}])
    )

    run(plan, journal)

    assert (journal.rows[("s_1", 1)].state, journal.rows[("s_1", 1)].reason) == ("skipped", "off")
    assert journal.rows[("s_2", 1)].result == {"text": "("}


def test_now_is_the_same_for_all_of_a_step_that_holds_steps() -> None:
    clock = FakeClock()
    collect = [{"name": "day", "value": [{"value": ["now", "today"]}]}]

    async def reply(method: str, url: str) -> None:
        clock.moment += timedelta(days=1)

    plan = plan_of(
        each("s_e", [1, 2], http("s_1"), collect=collect, at_once=1),
        result=[{"name": "days", "value": [{"value": ["s_e", "items"]}]}],
    )

    end = run(plan, ports=fake_ports(FakeHttp(reply), clock=clock))

    assert end == End("done", result={"days": [{"day": "2026-03-03"}, {"day": "2026-03-03"}]})

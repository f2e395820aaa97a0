"""`python -m bench [NAME …]`: start a Deckhand as `deckhand up` does and measure it."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import cache, engine, fairness, live, neighbors, pages, parts
from bench.load import start_runs
from bench.measure import cpu_s, memory_mib, quantile, report
from bench.plans import chain, five_steps, lanes, long_chain
from tests import services
from tests.chaos.house import House

WARM_UP = 50


@contextmanager
def house(database: str = "sqlite", workers: int = 2) -> Iterator[House]:
    """Yield a running Deckhand on a new data folder and the database that is named."""
    with tempfile.TemporaryDirectory() as folder:
        server = services.Postgres() if database == "postgresql" else None
        env = {"DATABASE_URL": server.create()} if server is not None else {}
        made = House(Path(folder), workers=workers, **env)
        made.boot()
        try:
            yield made
        finally:
            made.stop()
            if server is not None:
                server.stop()


def live_workflow(place: House, name: str, plan: dict[str, Any]) -> str:
    made = place.until("POST", "/api/v1/workflows", {"name": name, "plan": plan})
    place.until("POST", f"/api/v1/workflows/{made['id']}/live", {"note": ""})
    return str(made["id"])


def five_step_runs() -> None:
    """P1: five steps over HTTP, answered when finished, at 1, 8 and 32 at once."""
    for database in ("sqlite", "postgresql"):
        with house(database) as place:
            workflow = live_workflow(place, "Five steps", five_steps())
            start_runs(place.port, place.key, workflow, 4, WARM_UP, {"name": "Ada"})
            for at_once, count in ((1, 200), (8, 1000), (32, 1000)):
                before = cpu_s(place.pids())
                outcome = start_runs(
                    place.port, place.key, workflow, at_once, count, {"name": "Ada"}
                )
                used = cpu_s(place.pids()) - before
                _report_load(f"five_steps.{database}.at_{at_once}", outcome)
                report(
                    f"five_steps.{database}.at_{at_once}.cpu_per_run",
                    used / max(1, len(outcome.took_s)) * 1000,
                    "ms",
                    len(outcome.took_s),
                )


def _report_load(name: str, outcome: Any) -> None:
    if outcome.errors:
        print(outcome.errors[:3], file=sys.stderr)
    n = len(outcome.took_s)
    report(f"{name}.runs", outcome.per_s, "runs/s", n)
    report(f"{name}.p50", quantile(outcome.took_s, 0.5) * 1000, "ms", n)
    report(f"{name}.p95", quantile(outcome.took_s, 0.95) * 1000, "ms", n)
    report(f"{name}.refused", len(outcome.errors), "requests", n + len(outcome.errors))


def durable_steps() -> None:
    """P2, P3: steps per second of a chain of 100, one run and 8 runs at once."""
    for database in ("sqlite", "postgresql"):
        with house(database) as place:
            workflow = live_workflow(place, "Chain", chain(100))
            start_runs(place.port, place.key, workflow, 2, 6, {})
            times = [_took_ms(place, workflow) for _ in range(7)]
            report(f"steps.{database}.one_run", 100_000 / quantile(times, 0.5), "steps/s", 7)
            outcome = start_runs(place.port, place.key, workflow, 8, 80, {})
            report(f"steps.{database}.8_runs", outcome.per_s * 100, "steps/s", 80)


def fifty_lanes() -> None:
    """P4: 50 lanes of one trivial step, one run, by the run's own clock."""
    for database in ("sqlite", "postgresql"):
        with house(database) as place:
            workflow = live_workflow(place, "Lanes", lanes(50))
            start_runs(place.port, place.key, workflow, 1, 5, {})
            times = [_took_ms(place, workflow) for _ in range(15)]
            report(f"lanes_50.{database}.p50", quantile(times, 0.5), "ms", len(times))


def _took_ms(place: House, workflow: str) -> float:
    run = place.until(
        "POST",
        f"/api/v1/workflows/{workflow}/run",
        {"inputs": {}},
        Idempotency_Key=str(time.perf_counter_ns()),
        Prefer="wait=10",
    )
    return float(run["took_ms"])


def starvation() -> None:
    """RULINGS 2.1.1: starts over HTTP beside one run that commits back to back."""
    with house() as place:
        workflow = live_workflow(place, "Five steps", five_steps())
        busy = live_workflow(place, "Busy", long_chain(20_000))
        start_runs(place.port, place.key, workflow, 4, WARM_UP, {"name": "Ada"})
        alone = start_runs(place.port, place.key, workflow, 8, 400, {"name": "Ada"})
        _report_load("starvation.alone", alone)
        run = place.until(
            "POST",
            f"/api/v1/workflows/{busy}/run",
            {"inputs": {}},
            Idempotency_Key="busy",
        )
        time.sleep(1)  # the neighbour is at work
        beside = start_runs(place.port, place.key, workflow, 8, 400, {"name": "Ada"})
        _report_load("starvation.beside_a_busy_run", beside)
        state = place.until("GET", f"/api/v1/runs/{run['id']}")["state"]
        report("starvation.neighbour_was_busy", float(state == "running"), "yes", 1)


def idle_memory() -> None:
    """P9: all processes with one worker, after the start and after 3,000 runs; a worker after
    3,000 and 10,000. With two workers, as `deckhand up` has them on two cores, after the start.
    """
    with house(workers=2) as place:
        _report_memory("memory.two_workers.idle", place, wait_s=5)
    with house(workers=1) as place:
        workflow = live_workflow(place, "Five steps", five_steps())
        _report_memory("memory.idle", place, wait_s=5)
        for total, more in ((3_000, 3_000), (10_000, 7_000)):
            start_runs(place.port, place.key, workflow, 8, more, {"name": "Ada"})
            _report_memory(f"memory.after_{total}_runs", place, wait_s=3)
            workers = [pid for name, pid in place.children().items() if name.startswith("worker")]
            worker = max(memory_mib([pid])[0] for pid in workers)
            report(f"memory.after_{total}_runs.largest_worker", worker, "MiB", 1)


def _report_memory(name: str, place: House, wait_s: float) -> None:
    time.sleep(wait_s)  # what is loaded or given back late has been
    rss, pss = memory_mib(place.pids())
    report(f"{name}.rss", rss, "MiB", 1)
    report(f"{name}.pss", pss, "MiB", 1)


def time_to_first_answer() -> None:
    """P8: from the start command to the first answer, with and without a database."""
    with tempfile.TemporaryDirectory() as folder:
        place = House(Path(folder))
        began = time.perf_counter()
        place.boot()
        report("start.new_folder", time.perf_counter() - began, "s", 1)
        place.stop()
        times = []
        for _ in range(3):
            began = time.perf_counter()
            place.boot()
            times.append(time.perf_counter() - began)
            place.stop()
        report("start.known_folder", quantile(times, 0.5), "s", len(times))


PARTS: dict[str, Callable[[], None]] = {
    "five_steps": five_step_runs,
    "steps": durable_steps,
    "lanes": fifty_lanes,
    "starvation": starvation,
    "live": lambda: _with_house(live.commit_to_client),
    "pages": lambda: _with_house(pages.weigh),
    "memory": idle_memory,
    "cache": cache.adaptive_cache,
    "start": time_to_first_answer,
    **engine.PARTS,
    "fairness": fairness.fairness,
    "crowd": neighbors.crowd,
    "stuck": neighbors.stuck,
    "each_split": parts.each_split,
}


def _with_house(measure: Callable[[House], None]) -> None:
    with house() as place:
        measure(place)


def main() -> None:
    wanted = sys.argv[1:] or list(PARTS)
    for name in wanted:
        PARTS[name]()
    assert threading.active_count() < 50


if __name__ == "__main__":
    main()

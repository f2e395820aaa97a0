"""Rows about what Deckhand stands on and that goes away: D6 and D7 of SECURITY.md 3.1."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import redis

from tests.chaos import plans
from tests.chaos.load import loaded
from tests.chaos.places import Place, Server
from tests.chaos.stack import Stack

Figures = dict[str, Any]
NORMAL_S = 10.0
EACH_NTH = 50


def redis_away(place: Place, times: int) -> Figures:
    """D6: Valkey dies, is wiped, stands still, is full, and takes no writes."""
    with place.stack(lease_s=4) as (stack, sink):
        workflow = stack.live("Mixed", plans.mixed(sink.url))
        looks = 0
        with loaded(stack, workflow, "r", clients=2, pause_s=0.15) as load:
            for number in range(times):
                stack.valkey.kill()
                time.sleep(40 if number == times - 1 else 5 if number % 9 == 4 else 0.2)
                looks += _pages_work(stack)
                stack.valkey.start()
                time.sleep(0.5)
            with redis.Redis.from_url(stack.valkey.url) as client:
                for _ in range(10):
                    client.flushall()
                    time.sleep(0.5)
                with stack.valkey.standing_still():
                    time.sleep(20)
                    looks += _pages_work(stack)
                client.config_set("maxmemory", "1")
                time.sleep(5)
                client.config_set("maxmemory", "0")
                client.replicaof("127.0.0.1", 1)
                time.sleep(5)
                looks += _pages_work(stack)
                client.replicaof("NO", "ONE")
        figures = {"deaths": times, "wipes": 10, "pages_looked_at": looks}
        figures |= {"runs": len(load.runs)}
        figures["slowest_start_s"] = round(load.slowest_s, 2)
        return figures | place.verdict(stack, sink, failed=load.failures)


def _pages_work(stack: Stack) -> int:
    """Look at a page and ask the API; both have to answer well."""
    assert stack.call("GET", "/api/v1/workflows")[0] == 200
    with urllib.request.urlopen(stack.url + "/signin", timeout=10) as answer:
        assert answer.status == 200
    return 1


def database_away(place: Place, times: int) -> Figures:
    """D7: PostgreSQL crashes and comes back, soon or late."""
    assert place.postgres, "this row is about PostgreSQL"
    with place.stack(lease_s=4) as (stack, sink):
        server: Server = stack.server
        workflow = stack.live("Mixed", plans.mixed(sink.url))
        back = []
        with loaded(stack, workflow, "d", clients=2, pause_s=0.1) as load:
            for number in range(times):
                time.sleep(0.7)
                server.crash()
                time.sleep(40 if number == times - 1 else 5 if number % 9 == 4 else 0.2)
                server.restart()
                back.append(stack.answers_again())
        figures = {"crashes": times, "runs": len(load.runs)}
        return figures | _away(place.verdict(stack, sink, failed=load.failures), back)


def connections_cut(place: Place, times: int) -> Figures:
    """D7: PostgreSQL cuts a connection every moment, and then lets only eight in."""
    assert place.postgres, "this row is about PostgreSQL"
    with place.stack(lease_s=4) as (stack, sink):
        server: Server = stack.server
        workflow = stack.live("Mixed", plans.mixed(sink.url))
        cut = 0
        with loaded(stack, workflow, "c", clients=4, pause_s=0.05) as load:
            for _ in range(times):
                time.sleep(0.2)
                cut += server.cut(1)
            server.let_in(8)
            cut += server.cut(1000)
            time.sleep(20)
            server.let_in(-1)
            back = [stack.answers_again()]
        figures = {"cut": cut, "runs": len(load.runs)}
        return figures | _away(place.verdict(stack, sink, failed=load.failures), back)


def packets_cut(place: Place, times: int) -> Figures:
    """D7: each 50th packet to or from PostgreSQL cuts its connection, for so many cuts."""
    assert place.postgres, "this row is about PostgreSQL"
    with place.stack(lease_s=4, wire=True) as (stack, sink):
        server: Server = stack.server
        wire = server.wire
        assert wire is not None
        workflow = stack.live("Mixed", plans.mixed(sink.url))
        with loaded(stack, workflow, "p", clients=4, pause_s=0.05) as load:
            wire.every = EACH_NTH
            before = wire.packets
            while wire.cuts < times:
                time.sleep(0.1)
            wire.every = 0
            passed = wire.packets - before
            back = [stack.answers_again()]
        figures = {"cuts": wire.cuts, "packets": passed, "runs": len(load.runs)}
        return figures | _away(place.verdict(stack, sink, failed=load.failures), back)


def database_locked(place: Place, times: int) -> Figures:
    """D7: somebody else holds SQLite's lock for 20 s."""
    assert not place.postgres, "this row is about SQLite"
    with place.stack(lease_s=4) as (stack, sink):
        workflow = stack.live("Mixed", plans.mixed(sink.url))
        back = []
        with loaded(stack, workflow, "l", clients=2, pause_s=0.1) as load:
            for _ in range(times):
                time.sleep(2)
                other = sqlite3.connect(stack.database.removeprefix("sqlite:///"))
                other.isolation_level = None
                other.execute("BEGIN EXCLUSIVE")
                time.sleep(20)
                other.execute("ROLLBACK")
                other.close()
                back.append(_starts_again(stack, workflow, len(back)))
        figures = {"locks": times, "runs": len(load.runs)}
        return figures | _away(place.verdict(stack, sink, failed=load.failures), back)


def disk_full(place: Place, times: int) -> Figures:
    """D7: the disk of the data folder is full for 20 s."""
    assert not place.postgres, "this row is about SQLite"
    with _small_disk() as folder, place.stack(lease_s=4, folder=folder) as (stack, sink):
        workflow = stack.live("Mixed", plans.mixed(sink.url))
        back = []
        with loaded(stack, workflow, "f", clients=2, pause_s=0.1) as load:
            for _ in range(times):
                time.sleep(2)
                filler = folder / "filler"
                _fill(filler)
                time.sleep(20)
                filler.unlink()
                back.append(_starts_again(stack, workflow, len(back)))
        figures = {"full": times, "runs": len(load.runs)}
        return figures | _away(place.verdict(stack, sink, failed=load.failures), back)


@contextmanager
def _small_disk() -> Iterator[Path]:
    """Yield a disk of 64 MB in memory; it takes root to make one."""
    folder = tempfile.mkdtemp(prefix="deckhand-disk-")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], check=True)
    try:
        yield Path(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def _fill(filler: Path) -> None:
    with filler.open("wb") as file, suppress(OSError):
        while True:
            file.write(b"x" * 65536)
            file.flush()


def _starts_again(stack: Stack, workflow: str, number: int) -> float:
    """Return how long it took until a start was acknowledged again."""
    began = time.monotonic()
    stack.start(workflow, f"again-{number}", name=f"again-{number}")
    return time.monotonic() - began


def _away(verdict: Figures, back: list[float]) -> Figures:
    broken = verdict["broken"]
    if max(back) > NORMAL_S:
        broken.append(f"it took {max(back):.1f} s until it answered again")
    if verdict["answers"].get("500"):
        broken.append(f"{verdict['answers']['500']} answers were 500")
    if verdict["answers"].get("503 without Retry-After"):
        broken.append("503 did not say when to come back")
    return {"slowest_back_s": round(max(back), 2)} | verdict

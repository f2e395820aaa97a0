"""`make chaos`: the rows of SECURITY.md 3.1 and 3.2, and a JSON line of figures for each.

    python -m tests.chaos --list
    python -m tests.chaos --rows D3,D8 --times 200 --postgres

It ends with 1 if anything was broken; "broken" says what. What a row's times are, its line in the
list says: faults, rounds, seconds or minutes. Each row starts parts, a Valkey and, where asked, a
PostgreSQL of its own and leaves nothing behind, so that several may run side by side.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.chaos import (
    asking,
    control,
    keys,
    kill,
    migrations,
    money,
    overload,
    processes,
    services_away,
    sizes,
    slow,
    soak,
    stops,
    versions,
    watching,
)
from tests.chaos.places import Place

Row = Callable[[Place, int], dict[str, Any]]
ROWS: dict[str, tuple[Row, int]] = {
    "kill": (kill.rounds, 100),
    "points": (processes.points, 1),
    "D1": (processes.starts, 60),
    "D2each": (processes.each_effect, 3),
    "D3": (processes.effects, 20),
    "D5": (processes.same_key, 100),
    "D5keys": (keys.promises, 10),
    "D6": (services_away.redis_away, 45),
    "D7": (services_away.database_away, 45),
    "D7cut": (services_away.connections_cut, 100),
    "D7packets": (services_away.packets_cut, 200),
    "D7full": (services_away.disk_full, 1),
    "D7locked": (services_away.database_locked, 1),
    "D8": (processes.commits, 200),
    "D9": (stops.zombies, 40),
    "D10web": (stops.web_ends, 60),
    "D10worker": (stops.worker_ends, 60),
    "D10roll": (stops.rolls, 5),
    "D12": (control.cancels, 100),
    "D15": (money.deaths, 60),
    "D16": (asking.weeks, 30),
    "D17": (migrations.killed, 5),
    "D17old": (versions.old_runs, 3),
    "D17edit": (versions.edits, 20),
    "clock": (control.clocks, 1),
    "D19": (watching.reconnects, 200),
    "D20": (processes.everything, 10),
    "L1": (overload.overload, 300),
    "L4": (slow.drips, 500),
    "L6": (sizes.bounds, 1),
    "L7": (soak.soak, 15),
}
"""Each row with the number of faults that it is asked for."""

ELSEWHERE = {True: {"D7full", "D7locked", "D8"}, False: {"D7", "D7cut", "D7packets", "D9"}}
"""Rows that are about the other database, by whether this one is PostgreSQL."""


def _rows_of(postgres: bool) -> list[str]:
    return [name for name in ROWS if name not in ELSEWHERE[postgres]]


def _print_list() -> None:
    for name, (row, times) in ROWS.items():
        told = (row.__doc__ or "").partition("\n")[0]
        only = [" PostgreSQL only.", " SQLite only."]
        where = "".join(
            text for text, of in zip(only, (False, True), strict=True) if name in ELSEWHERE[of]
        )
        print(f"{name:10} {times:4}  {told}{where}")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--list", action="store_true", help="say what each row does, how often")
    parser.add_argument("--rows", help="which, with commas; else all that this database has")
    parser.add_argument("--times", type=int, default=0, help="faults of each, not the row's own")
    parser.add_argument("--postgres", action="store_true", help="instead of SQLite")
    parser.add_argument("--lease", type=int, default=0, help="LEASE_S where the row lets choose")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args()
    if given.list:
        _print_list()
        return 0
    place = Place(given.postgres, given.lease)
    broken = 0
    for name in (given.rows or ",".join(_rows_of(given.postgres))).split(","):
        random.seed(given.seed)
        row, times = ROWS[name]
        began = time.monotonic()
        figures = row(place, given.times or times)
        facts = {"row": name, "database": "PostgreSQL" if given.postgres else "SQLite"}
        facts |= {"seed": given.seed, "took_s": round(time.monotonic() - began)}
        print(json.dumps(facts | figures, default=str), flush=True)
        broken += len(figures["broken"])
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

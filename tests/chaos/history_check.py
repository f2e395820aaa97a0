"""Holds what Deckhand says it did against what the outside saw: ten promises, each checked.

`history` is what `deckhand history export --json` printed, `starts` the acknowledged starts of a
client by its keys, `arrivals` what the sink took in, in order. From a shell, each in a file:

    python -m tests.chaos.history_check history.json starts.json sink.jsonl
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.chaos.client import SETTLED
from tests.chaos.sink import Arrival

TOLD = frozenset({"succeeded", "failed"})
"""What a step may be after it was answered."""


def check(
    history: Mapping[str, Any], starts: Mapping[str, str], arrivals: Sequence[Arrival]
) -> list[str]:
    """Return a sentence for each promise that was broken, and where."""
    return [
        *_starts(history["runs"], starts),
        *_settled(history["runs"]),
        *_effects(history["runs"], arrivals),
        *_order(history["runs"], arrivals),
        *_sums(history),
    ]


def _starts(runs: Sequence[Mapping[str, Any]], starts: Mapping[str, str]) -> Iterator[str]:
    by_id = {run["id"]: run for run in runs}
    for key, run_id in starts.items():
        found = by_id.get(run_id)
        if found is None:
            yield f"1: {key} was acknowledged as {run_id}, and there is no such run"
        elif found["key"] != key:
            yield f"1: {run_id} was started under {key}, and says {found['key']}"
    counts = Counter(run["key"] for run in runs if run["key"])
    for key, count in counts.items():
        if count > 1:
            yield f"2: {key} has {count} runs"


def _settled(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for run in runs:
        if run["state"] not in SETTLED:
            yield f"3: {run['id']} is {run['state']}"
        doubtful = [step for step in run["steps"] if step["state"] == "unknown"]
        open_steps = [step for step in run["steps"] if step["state"] in {"intent", "waiting"}]
        asks = run["state"] == "needs_review"
        if doubtful and not asks:
            yield f"4: {run['id']} is {run['state']}, and {doubtful[0]['id']} is in doubt"
        if asks and not any(s["effect"] == "at_most_once" for s in doubtful + open_steps):
            yield f"4: {run['id']} asks a person, and nothing in it is in doubt"
        if open_steps and not asks:
            yield f"3: {run['id']} is {run['state']}, and {open_steps[0]['id']} is still open"


def _effects(runs: Sequence[Mapping[str, Any]], arrivals: Sequence[Arrival]) -> Iterator[str]:
    steps = {step["idem"]: (run, step) for run in runs for step in run["steps"] if step["idem"]}
    seen: dict[str, list[Arrival]] = {}
    for arrival in arrivals:
        seen.setdefault(arrival.key, []).append(arrival)
    for key, sent in seen.items():
        if key not in steps:
            yield f"5: {sent[0].path} was sent, and no step says so"
            continue
        run, step = steps[key]
        where = f"{run['id']} {step['id']}"
        if len({(one.path, one.body) for one in sent}) > 1:
            yield f"6: {where} was repeated with other bytes"
        if step["effect"] == "at_most_once" and len(sent) > 1:
            yield f"7: {where} must happen at most once, and happened {len(sent)} times"
        told = step["state"] in TOLD or run["state"] == "needs_review"
        if step["effect"] == "at_most_once" and not told:
            yield f"4: {where} happened, is {step['state']}, and nobody is asked"
    for key, (run, step) in steps.items():
        sends = step["effect"] != "none" and step["state"] == "succeeded"
        if sends and key not in seen:
            yield f"8: {run['id']} {step['id']} is done, and nothing was sent"


def _order(runs: Sequence[Mapping[str, Any]], arrivals: Sequence[Arrival]) -> Iterator[str]:
    """A step begins when the one before it in its block is done: from then on that is silent."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for place, arrival in enumerate(arrivals):
        first.setdefault(arrival.key, place)
        last[arrival.key] = place
    for run in runs:
        blocks: dict[str, list[Mapping[str, Any]]] = {}
        for step in run["steps"]:
            if step["idem"] in first:
                blocks.setdefault(step["id"].rpartition("/")[0], []).append(step)
        for block in blocks.values():
            block.sort(key=lambda step: step["n"])
            for before, after in pairwise(block):
                if last[before["idem"]] > first[after["idem"]]:
                    yield f"9: {run['id']} {before['id']} was sent again after it was done"


def _sums(history: Mapping[str, Any]) -> Iterator[str]:
    if not history["audit_ok"]:
        yield "10: somebody rewrote the audit record"
    if history["outbox_pending"]:
        yield f"10: {history['outbox_pending']} deliveries are still to be made"
    if Decimal(str(history["reserved_usd"])):
        yield f"10: {history['reserved_usd']} USD are still reserved"
    total = sum((Decimal(str(run["cost_usd"])) for run in history["runs"]), Decimal(0))
    ledger = Decimal(str(history["ledger_cost_usd"]))
    if total != ledger:
        yield f"10: the runs cost {total}, and the ledger says {ledger}"


def main(history: str, starts: str, sink: str) -> int:
    """Print what is broken; return 1 if anything is."""
    arrivals = [Arrival(**json.loads(line)) for line in Path(sink).read_text().splitlines()]
    told = json.loads(Path(history).read_text())
    broken = check(told, json.loads(Path(starts).read_text()), arrivals)
    print("\n".join(broken) or f"{len(told['runs'])} runs keep every promise")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

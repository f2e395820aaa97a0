"""What a step saw when it ran, told again from the journal: its settings with their values."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.engine.config_walk import slots_of
from webapp.engine.errors import StepError
from webapp.engine.grammar import references
from webapp.engine.values import Scope, render
from webapp.kernel.ids import public_id
from webapp.runs import journal_queries
from webapp.runs.labels import labels_of
from webapp.runs.lines import Journal
from webapp.runs.parts import handed_to, part_of
from webapp.runs.paths import Places, item_of, round_of, round_prefix
from webapp.runs.queries import RunRow

_HIDDEN: Final = "•••• (a secret, never shown)"
_MOST_LABELS: Final = 16
_MOST_ROUNDS: Final = 20
"""Of later rounds a page does not work out what was handed on: each takes a question."""
_lock = threading.Lock()
_known_labels: OrderedDict[tuple[UUID, str], list[str]] = OrderedDict()

Values = list[tuple[str, Any]]


@requires(Permission.VIEW_RUNS)
def went_in(ctx: Context, row: RunRow, places: Places, path: str) -> Values:
    """Return what each setting of the step at `path` became, by the words of its form."""
    step = places.step_at(path)
    if step is None or step.config is None:
        return []
    slots = [slot for slot in slots_of(step.config) if not slot.rows]
    scope = _scope(ctx, row, places, path, [slot.value for slot in slots])
    return [
        (slot.label, value)
        for slot in slots
        if (value := _rendered(slot.value, scope)) not in (None, "", [], {})
    ]


def _rendered(value: Any, scope: Scope) -> Any:
    if any(ref[0] == "secret" for ref, _, _ in references(value)):
        return _HIDDEN
    try:
        return render(value, scope)
    except StepError as error:
        return error.text


def _scope(
    ctx: Context, row: RunRow, places: Places, path: str, values: Sequence[Any], depth: int = 0
) -> Scope:
    """Return what the step at `path` saw, as far as these values ask for it."""
    wanted = {str(ref[0]) for value in values for ref, _, _ in references(value)}
    roots: dict[str, Any] = {"start": row.run.inputs, "run": _about(row)}
    part = part_of(row)
    if part is not None:
        roots |= handed_to(ctx, part)[1]
    paths: dict[str, list[str]] = {}
    for root in (wanted & places.steps.keys()) - roots.keys():
        found = places.paths_of(root, path)
        around = found[-1] if found else None
        index = item_of(path, around) if around else None
        number = round_of(path, around) if around else None
        if around is not None and number is not None and depth < 4:
            roots[root] = _round(ctx, row, places, around, number, depth + 1)
        elif around is not None and index is not None and depth < 4:
            items, first = _items(ctx, row, places, around, depth + 1), 0
            if part is not None and part["path"] == around:
                first = part["first"]
            item = items[index - first] if 0 <= index - first < len(items) else None
            roots[root] = {"item": item, "index": index}
        elif found:
            paths[root] = found
    if paths:
        every = [place for found in paths.values() for place in found]
        results = journal_queries.results_at(ctx, row.run.id, every)
        for root, found in paths.items():  # of several rounds the newest counts
            roots[root] = next((results[one] for one in reversed(found) if one in results), None)
    return Scope(roots)


def _round(
    ctx: Context, row: RunRow, places: Places, repeat: str, number: int, depth: int
) -> dict[str, Any]:
    """Return what steps in one round see of their `repeat`: its number, and what was handed on."""
    step = places.step_at(repeat)
    carried = step.config.carry if step is not None and step.config is not None else []
    if step is None or not carried or number > _MOST_ROUNDS:
        return {"round": number, "carry": {}}
    scope = _scope(ctx, row, places, repeat, [one.first for one in carried], depth)
    carry = {one.name: _rendered(one.first, scope) for one in carried}
    for earlier in range(1, number):
        prefix = round_prefix(repeat, earlier)
        seen = _scope(ctx, row, places, prefix, [one.value for one in carried], 4).roots
        scope = Scope({**seen, step.id: {"round": earlier, "carry": carry}})
        carry = {one.name: _rendered(one.value, scope) for one in carried}
    return {"round": number, "carry": carry}


def _items(ctx: Context, row: RunRow, places: Places, each: str, depth: int = 0) -> list[Any]:
    """Return the items that the `each` at this path works on, if its list can still be told."""
    step = places.step_at(each)
    if step is None or step.config is None:
        return []
    if (part := part_of(row)) is not None and part["path"] == each:
        return handed_to(ctx, part)[0]
    source = step.config.source
    if any(ref[0] == "now" for ref, _, _ in references(source)):
        return []
    items = _rendered(source, _scope(ctx, row, places, each, [source], depth))
    return items if isinstance(items, list) else []


def labels_in(
    ctx: Context, row: RunRow, places: Places, journal: Journal
) -> dict[str, Sequence[str]]:
    """Return what the items of each list are called; told once, since a list never changes."""
    found: dict[str, Sequence[str]] = {}
    part = part_of(row)
    lists = [path for path, _ in places.lists()] if part is None else [part["path"]]
    for path in lists:
        if path not in journal.rows:
            continue
        key = (row.run.id, path)
        with _lock:
            known = _known_labels.get(key)
        if known is None:
            before = [""] * (0 if part is None else part["first"])
            known = before + labels_of(_items(ctx, row, places, path))
            with _lock:
                _known_labels[key] = known
                while len(_known_labels) > _MOST_LABELS:
                    _known_labels.popitem(last=False)
        found[path] = known
    return found


def _about(row: RunRow) -> dict[str, Any]:
    run = row.run
    begun = run.started_at.isoformat() if run.started_at else None
    return {
        "id": public_id("run", run.id),
        "started_at": begun,
        "started_by": run.started_by_name,
        "version": row.version,
    }

"""Put together what a run's page shows, in few questions, however long the run is."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.engine.plan import Step
from webapp.files.schemas import FileOut
from webapp.files.service import describe_files
from webapp.kernel.clock import now
from webapp.runs import journal_queries, queries
from webapp.runs.arriving import count_outside
from webapp.runs.lines import Count, Journal, Line, Lines, has_ended
from webapp.runs.looking import Whole, plan_of_run
from webapp.runs.parts import part_of, parts_in
from webapp.runs.paths import (
    ITEMS_SHOWN,
    MOST_PATHS,
    Places,
    element_id,
    item_of,
    last_round,
    outermost,
)
from webapp.runs.presenting import title_of
from webapp.runs.queries import RunRow
from webapp.runs.seeing import labels_in
from webapp.runs.transitions import OVER

FAILED_SHOWN: Final = 200
ITEMS_A_PAGE: Final = 100


@dataclass(slots=True)
class Chosen:
    """The step whose values are shown.

    Attributes:
        row: its newest attempt, None when it has not begun; attempts: how many there were.
    """

    path: str
    step: Step
    name: str
    row: Any
    attempts: int
    output: Any = None

    @property
    def id(self) -> str:
        return element_id(self.path)


@dataclass(slots=True)
class Watched:
    """A run as its page shows it.

    Attributes:
        lines: all of them, or with `after` those that changed.
        is_new: whether anything happened behind `after`.
        ended: whether the run ended behind `after`.
        settled: how many steps are final, with those inside them.
        outside: how many effects outside were done, also in the runs that it has started.
        is_certain: whether none besides may have arrived that came to no good end here.
    """

    row: RunRow
    places: Places
    lines: list[Line] = field(default_factory=list)
    chosen: Chosen | None = None
    is_new: bool = True
    chosen_changed: bool = True
    settled: int = 0
    outside: int = 0
    is_certain: bool = True
    journal: Journal | None = None


@requires(Permission.VIEW_RUNS)
def watch(ctx: Context, run_id: UUID, step: str = "", after: int | None = None) -> Watched:
    """Return the run with its lines and the chosen step.

    Args:
        step: path of the step to show; "" lets the run choose: what failed, or what works now.
        after: only what changed behind this event; None is everything.
    """
    row = queries.find(ctx, run_id)
    places = places_of(ctx, row)
    watched = Watched(row, places)
    if after is not None and row.seq <= after:
        watched.is_new = False
        return watched
    wanted = step if places.step_at(step) is not None else ""
    if not wanted and row.run.state == "failed":
        wanted = str((row.run.error or {}).get("path", ""))
    shown = _shown(row, places, wanted)
    found = journal_queries.shown_steps(ctx, run_id, shown, wanted, FAILED_SHOWN)
    journal = Journal.of(found)
    watched.journal = journal
    if places.lists():
        journal.counts = [Count(*one) for one in journal_queries.item_counts(ctx, [run_id])]
        journal.labels = labels_in(ctx, row, places, journal)
        if any(one.is_part for one in journal.counts):
            journal.parts = parts_in(ctx, run_id)
            _count_inside(ctx, journal)
    path = wanted or ("" if row.run.is_over else _at_work(journal, places))
    lines = Lines(places, journal, row, now(), path)
    every = lines.all()
    changed = _changed(found, after)
    watched.lines = every if after is None else [one for one in every if one.path in changed]
    final = (one.path for one in every if one.begun and not one.is_open)
    watched.settled = sum(len(places.numbered(path)) for path in final)
    if row.run.kind != "rehearsal":
        watched.outside, watched.is_certain = count_outside(ctx, row.run, places.plan, journal)
    if path:
        watched.chosen = _chosen(ctx, watched, every, path, is_loaded=path == wanted)
        watched.chosen_changed = after is None or _is_changed(watched.chosen, after, wanted)
    return watched


@requires(Permission.VIEW_RUNS)
def steps_behind(ctx: Context, found: Whole, most: int) -> tuple[int, int]:
    """Return how many steps are behind a run and how many its plan has, as its page says it.

    Args:
        most: of the rows of `found`; with more of them, those that count are asked for.
    """
    row, places, part = found.row, places_of(ctx, found.row), part_of(found.row)
    paths = [step.id for step in places.plan.steps]
    if part is not None:
        paths = [part["path"]]
    asked = [step.id for step in places.plan.steps if places.again(step)]
    rows = found.steps
    if len(rows) > most:
        rows = queries.steps_at(ctx, row.run.id, paths, asked)
    journal, over = Journal.of(rows), row.run.state in OVER
    ended = {path for path in paths if path in journal.rows}
    ended = {path for path in ended if has_ended(journal.rows[path], over)}
    if asked:  # the newest round says how an approval stands
        lines = Lines(places, journal, row, now()).some(set(asked))
        ended -= {line.path for line in lines if line.is_open}
    return sum(len(places.numbered(path)) for path in ended), len(places.numbers)


def _count_inside(ctx: Context, journal: Journal) -> None:
    """Count the items of parts that ended without having done all of them well."""
    runs = []
    for path, parts in journal.parts.items():
        ended = [one for one in parts if one.row.run.is_over and not one.is_whole]
        each = journal.rows.get(path)
        if each is not None and each.state == "succeeded":
            ended = [one for one in ended if not one.is_lost]
        runs += [one.row.run.id for one in ended]
    if runs:
        found = [Count(*one) for one in journal_queries.item_counts(ctx, runs)]
        journal.counts = [*journal.counts, *found]


def _shown(row: RunRow, places: Places, wanted: str) -> list[str]:
    """Return the paths that the page shows at first; a part has its list, and the first items."""
    part = part_of(row)
    if part is None:
        return places.shown(wanted)
    each, first = part["path"], part["first"]
    indexes = [*range(first, first + min(ITEMS_SHOWN, part["count"]))]
    if (index := item_of(wanted, each)) is not None:
        indexes.append(index)
    paths = [each, *(inner for index in indexes for inner in places.in_item(each, index))]
    return list(dict.fromkeys([*paths, wanted] if wanted else paths))


@requires(Permission.VIEW_RUNS)
def places_of(ctx: Context, row: RunRow) -> Places:
    """Return the places of the run's plan, worked out once a process."""
    version = row.run.version_id
    with _lock:
        known = _places.get(version)
    if known is None:
        known = Places(plan_of_run(ctx, row.run))
        with _lock:
            _places[version] = known
            while len(_places) > _MOST_PLACES:
                _places.popitem(last=False)
    return known


def _changed(found: Sequence[Any], after: int | None) -> set[str]:
    return {outermost(row.path) for row in found if after is not None and row.seq > after}


def _is_changed(chosen: Chosen | None, after: int, wanted: str) -> bool:
    """Whether the pane is to be shown anew; what the run chose may be another step than before."""
    if chosen is None or chosen.row is None:
        return False
    return chosen.row.seq > after or not wanted


def _at_work(journal: Journal, places: Places) -> str:
    """Return the newest step that works and holds no steps; else the one that ended last. Where
    all steps lie in other runs, as those of a list in parts, it is the step that holds them.
    """
    leaves = [
        row
        for row in journal.rows.values()
        if (step := places.step_at(row.path)) is not None and not step.blocks
    ]
    at_work = [row for row in leaves if row.state in {"intent", "waiting", "unknown"}]
    newest = max(
        at_work or leaves or journal.rows.values(),
        key=lambda row: (row.seq, row.path),
        default=None,
    )
    return newest.path if newest is not None else ""


def _chosen(
    ctx: Context, watched: Watched, every: Sequence[Line], path: str, *, is_loaded: bool
) -> Chosen | None:
    places, journal = watched.places, watched.journal
    step = places.step_at(path)
    if step is None or journal is None:
        return None
    row, line = journal.rows.get(path), find_line(every, path)
    name = line.name if line else title_of(step)
    if (turn := last_round(path)) is not None:
        name = f"{title_of(step)}, round {turn:,}"
    title = f"{line.number} {name}" if line and line.number else name
    chosen = Chosen(path, step, title, row, journal.attempts.get(path, 1))
    if row is not None and row.state in {"succeeded", "reused"}:
        if is_loaded:
            chosen.output = queries.result_of(ctx, row)
        else:
            chosen.output = journal_queries.results_at(ctx, watched.row.run.id, [path]).get(path)
    return chosen


def find_line(lines: Sequence[Line], path: str) -> Line | None:
    """Return the line that leads to a path, however deep it lies."""
    for line in lines:
        if line.path == path and not line.lines:
            return line
        found = find_line(line.lines, path)
        if found is not None:
            return found
        if line.path == path:
            return line
    return None


@requires(Permission.VIEW_RUNS)
def request_of(ctx: Context, watched: Watched) -> bytes | None:
    """Return the frozen request of the chosen step."""
    chosen = watched.chosen
    if chosen is None or chosen.row is None:
        return None
    if chosen.row.request is None:
        rows = journal_queries.requests_at(ctx, [watched.row.run.id], [chosen.path])
        return rows[0].request if rows else None
    return bytes(chosen.row.request)


@requires(Permission.VIEW_RUNS)
def notes_in(ctx: Context, watched: Watched) -> list[str]:
    """Return what is to be said of the chosen step: that its answer came from the cache, say."""
    chosen = watched.chosen
    if chosen is None or chosen.row is None or chosen.row.state in {"intent", "waiting"}:
        return []
    return journal_queries.notes_of(ctx, watched.row.run.id, chosen.path, chosen.row.seq)


@requires(Permission.VIEW_RUNS)
def calls_in(ctx: Context, watched: Watched) -> Sequence[Any]:
    """Return the tool calls of the chosen agent's step, in order."""
    chosen = watched.chosen
    return (
        journal_queries.calls_of(ctx, watched.row.run.id, chosen.path) if chosen is not None else []
    )


@requires(Permission.VIEW_RUNS)
def items_page(
    ctx: Context, run_id: UUID, each: str, start: int
) -> tuple[Watched, list[Line], int]:
    """Return the lines of up to 100 items of a list from number `start` on, and how many it has;
    of a repetition its rounds.
    """
    row = queries.find(ctx, run_id)
    places = places_of(ctx, row)
    step = places.step_at(each)
    watched = Watched(row, places)
    if step is None or step.kind not in {"each", "repeat"}:
        return watched, [], 0
    if step.kind == "repeat":
        return watched, *_rounds_page(ctx, row, places, each)
    parts = parts_in(ctx, run_id)
    if each in parts:
        journal = Journal({}, {}, parts=parts)
        lines = Lines(places, journal, row, now()).part_lines(each)
        return watched, lines[start : start + ITEMS_A_PAGE], len(lines)
    part = part_of(row)
    first = start + (part["first"] if part is not None and part["path"] == each else 0)
    indexes = range(first, first + ITEMS_A_PAGE)
    paths = [inner for index in indexes for inner in places.in_item(each, index)]
    found = journal_queries.shown_steps(ctx, run_id, [each, *paths], "", 0)
    journal = Journal.of(found)
    journal.labels = labels_in(ctx, row, places, journal)
    lines = Lines(places, journal, row, now()).items_from(step, each, first, ITEMS_A_PAGE)
    known = len(journal.labels.get(each, ())) - (first - start)
    return watched, lines, max(known, start + len(lines))


def _rounds_page(ctx: Context, row: RunRow, places: Places, repeat: str) -> tuple[list[Line], int]:
    """Return the lines of all rounds; there are at most a hundred."""
    step = places.step_at(repeat)
    assert step is not None
    most = int(step.config.most)
    paths = [inner for number in range(1, most + 1) for inner in places.in_item(repeat, number)]
    found = journal_queries.shown_steps(ctx, row.run.id, [repeat, *paths[:MOST_PATHS]], "", 0)
    lines = Lines(places, Journal.of(found), row, now()).rounds_from(step, repeat, 1, most)
    return lines, len(lines)


@requires(Permission.VIEW_RUNS)
def files_in(ctx: Context, *values: Any) -> dict[str, FileOut]:
    """Return what is known of the files that these values name, the first 200 of them."""
    ids: list[str] = []
    waiting = list(values)
    while waiting and len(ids) < 200:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("file"), str):
                ids.append(value["file"])
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value[:1000])
    return describe_files(ctx, dict.fromkeys(ids)) if ids else {}


@requires(Permission.VIEW_RUNS)
def neighbors(ctx: Context, row: RunRow) -> tuple[UUID | None, UUID | None]:
    """Return the runs of the same workflow before and after this one."""
    return queries.neighbors(ctx, row.run)


@requires(Permission.VIEW_RUNS)
def result_of(ctx: Context, row: RunRow) -> dict[str, Any]:
    """Return what the run gave, by name."""
    return queries.result_of(ctx, row.run) or {}


_MOST_PLACES: Final = 256
_lock = threading.Lock()
_places: OrderedDict[UUID, Places] = OrderedDict()

"""The SQL of the hot path, written once for both databases (TABLES.md measured it).

They go to the driver as text, by `kernel/rawsql.py`.
"""

from __future__ import annotations

from typing import Final

# An organization that comes late starts at the head of the queue, not at zero: the head is the
# latest turn that was claimed. Not the first lease that is ready: a start sees its own leases only.
# Runs of high and low priority have turns of their own, or they would stand behind all others.
_NEXT_TURN: Final = """
INSERT INTO fair (queue, organization_id, last_vtime, high_vtime, low_vtime, waiting)
VALUES (:queue, :org, TURNS, PLACES)
ON CONFLICT (queue, organization_id) DO UPDATE SET
   COLUMN = {greatest}(fair.COLUMN + CAST(:turn AS bigint), excluded.COLUMN),
   waiting = fair.waiting + PLACES
 WHERE PLACES = 0 OR fair.waiting < COALESCE((SELECT max_waiting FROM queue_setting
        WHERE queue = CAST(:queue AS varchar)), CAST(:most AS integer))
RETURNING COLUMN,
   COALESCE((SELECT mode FROM queue_setting WHERE queue = CAST(:queue AS varchar)), 'fifo')"""

_TURN: Final = """CAST(:turn AS bigint) + COALESCE((SELECT max(claimed_vtime) FROM fair
        WHERE queue = CAST(:queue AS varchar)), 0)"""


def _next_turn(column: str, places: int = 1) -> str:
    columns = ("last_vtime", "high_vtime", "low_vtime")
    turns = ", ".join(_TURN if name == column else "0" for name in columns)
    text = _NEXT_TURN.replace("TURNS", turns).replace("COLUMN", column)
    return text.replace("PLACES", str(places))


NEXT_TURN: Final = {
    "high": _next_turn("high_vtime"),
    "normal": _next_turn("last_vtime"),
    "low": _next_turn("low_vtime"),
}
"""By priority."""

# A part of a run has its turn as other runs do, and takes no place that could be full.
NEXT_TURN_OF_PART: Final = _next_turn("last_vtime", 0)

MOST_WAITING: Final = "SELECT max_waiting FROM queue_setting WHERE queue = :queue"

NEW_RUN: Final = """
INSERT INTO run (id, organization_id, workflow_id, version_id, state, problems, kind,
                 started_by_kind, started_by, started_by_name, idem_key, inputs, queued_at,
                 cost_nano, steps_done, seq, parent_run, parent_path, depth, part, limit_nano,
                 again_of, again_from)
VALUES (:id, :org, :workflow, :version, 'queued', :no, :kind,
        :by_kind, :by, :by_name, :key, :inputs, :at, 0, 0, 1, :parent, :parent_path, :depth,
        :part, :limit_nano, :again_of, :again_from)"""

NEW_LEASE: Final = """
INSERT INTO lease (run_id, organization_id, workflow_id, queue, state, vtime, fence, seq, done,
                   total, cost_nano, ran_ms)
VALUES (:run, :org, :workflow, :queue, 'ready', :vtime, 0, 1, 0, :total, 0, 0)"""

# Rows are chosen in a WITH of their own: as a sub-select, PostgreSQL may ask for them once a row,
# and take more than `most`.
_CLAIM: Final = """
WITH chosen AS (SELECT run_id FROM lease WHERE WHICH
                 ORDER BY vtime LIMIT :most {skip_locked})
UPDATE lease SET state = 'running', worker = :worker, boot = :boot, fence = fence + 1,
       lease_until = {now} + :lease_ms, seq = seq + 1, due_at = NULL, wait_reason = NULL,
       limit_id = NULL, wrote_at = {now}
 WHERE run_id IN (SELECT run_id FROM chosen)
RETURNING run_id, organization_id, fence, seq, ran_ms, done, cost_nano, cancel_at, vtime,
          workflow_id"""

CLAIM: Final = _CLAIM.replace("WHICH", "queue = :queue AND state = 'ready'")

# Runs that were over a limit stay out of the line; whoever looks for work sees that one may go on.
CLAIM_FREED: Final = _CLAIM.replace("WHICH", "limit_id = :limit AND wait_reason = 'limit'")

# The first in line of organizations that have nothing at work here. Most stand near the head, so
# only that is looked through; but whoever is served beside a crowd that stands still passes it by
# and by, and then the first of each is found by its organization.
NEWCOMERS: Final = """
SELECT run_id FROM (
  SELECT run_id, vtime FROM (SELECT run_id, organization_id, vtime FROM lease
                              WHERE queue = :queue AND state = 'ready' ORDER BY vtime LIMIT 64) head
   WHERE organization_id NOT IN (KNOWN)
  UNION
  SELECT run_id, vtime FROM lease WHERE run_id IN (
    SELECT (SELECT run_id FROM lease WHERE organization_id = fair.organization_id
               AND state = 'ready' AND queue = fair.queue ORDER BY vtime LIMIT 1)
      FROM fair WHERE queue = :queue AND waiting > 0 AND organization_id NOT IN (KNOWN)
     LIMIT :most)) found
 ORDER BY vtime LIMIT :most"""

CLAIM_THESE: Final = _CLAIM.replace("WHICH", "run_id IN (RUNS) AND state = 'ready'")

LOOK: Final = """
SELECT EXISTS (SELECT 1 FROM lease WHERE queue = :queue AND state = 'ready'),
       EXISTS (SELECT 1 FROM lease WHERE wait_reason = 'limit'),
       EXISTS (SELECT 1 FROM gate),
       EXISTS (SELECT 1 FROM queue_setting WHERE queue = :queue AND paused_at IS NOT NULL)"""

GATES: Final = """
SELECT scope_id, organization_id, run_mode, most_running, paused_at IS NOT NULL
  FROM gate WHERE scope_id IN (SCOPES) ORDER BY scope_id {locked}"""

# An organization's runs at work are few, whatever waits in line.
COUNT_RUNNING: Final = """
SELECT count(*) FROM lease WHERE organization_id = :org AND state = 'running'"""

COUNT_RUNNING_OF: Final = f"{COUNT_RUNNING} AND workflow_id = :workflow"

COUNT_BEGUN: Final = "SELECT count(*) FROM lease WHERE workflow_id = :workflow AND fence > 0"

FIRST_LIMITED: Final = """
SELECT min(vtime) FROM lease WHERE limit_id = :limit AND wait_reason = 'limit'"""

ANY_BEFORE: Final = """
SELECT 1 FROM lease
 WHERE queue = :queue AND state = 'ready' AND vtime < :vtime AND workflow_id = :workflow LIMIT 1"""

# What another run started does not queue up behind it, or the two would wait for each other.
IS_CHILD: Final = "SELECT parent_run IS NOT NULL FROM run WHERE id = :run"

# Gates whose limit has room again while runs wait for it, and for how many.
FREE_GATES: Final = """
SELECT g.scope_id, g.room FROM (
  SELECT scope_id, run_mode,
         CASE WHEN run_mode <> 'parallel' THEN 1
              WHEN most_running IS NULL THEN CAST(:most AS integer)
              ELSE most_running END -
         CASE WHEN most_running IS NULL AND run_mode <> 'restart' THEN 0 ELSE
           (SELECT count(*) FROM lease r
             WHERE r.organization_id = gate.organization_id AND r.state = 'running'
               AND (r.workflow_id = gate.scope_id OR gate.scope_id = gate.organization_id))
         END AS room
    FROM gate
   WHERE EXISTS (SELECT 1 FROM lease l
                  WHERE l.limit_id = gate.scope_id AND l.wait_reason = 'limit')) g
 WHERE g.room > 0 AND (g.run_mode NOT IN ('queued', 'single') OR NOT EXISTS
       (SELECT 1 FROM lease b WHERE b.workflow_id = g.scope_id AND b.fence > 0))
 ORDER BY (SELECT min(w.vtime) FROM lease w
            WHERE w.limit_id = g.scope_id AND w.wait_reason = 'limit') LIMIT 50"""

# The fence was moved in this transaction, and nobody has seen it.
SET_ASIDE: Final = """
UPDATE lease SET state = :state, wait_reason = :reason, limit_id = :limit, worker = NULL,
       lease_until = NULL, fence = fence - 1, seq = seq - :quiet
 WHERE run_id = :run"""

BEGIN_RUN: Final = """
UPDATE run SET state = 'running', started_at = COALESCE(started_at, :at), reason = NULL
 WHERE id = :run
RETURNING id, workflow_id, version_id, inputs, queued_at, started_at, started_by_name, kind,
          parent_run, parent_path, depth, again_of, part, limit_nano"""

PLAN: Final = """
SELECT version.plan, version.number, organization.slug
  FROM version JOIN organization ON organization.id = version.organization_id
 WHERE version.id = :version"""

STEPS: Final = """
SELECT path, attempt, step_id, kind, state, effect, idem_key, request, result, result_file,
       error, due_at, due_ms - {now}, due_boot, cost_nano, tokens_in, tokens_out
  FROM step WHERE run_id = :run ORDER BY path, attempt"""

# What was requeued since the run last got on.
REQUEUED: Final = """
SELECT data FROM event
 WHERE run_id = :run AND type = 'run.requeued'
   AND seq > COALESCE((SELECT max(seq) FROM event WHERE run_id = :run AND type NOT IN (
       'run.queued', 'run.started', 'run.resumed', 'run.requeued', 'run.cancelling',
       'step.resumed')), 0)"""

# 0 rows: the fence moved on, or the run is to be cancelled or paused and the batch begins
# something new.
ADVANCE: Final = """
UPDATE lease SET seq = seq + :events, done = done + :done, cost_nano = cost_nano + :cost,
       ran_ms = ran_ms + :ran_ms, lease_until = {now} + :lease_ms, wrote_at = {now}
 WHERE run_id = :run AND fence = :fence AND state = 'running'
   AND ((cancel_at IS NULL AND pause_at IS NULL) OR :begins = 0)
RETURNING seq, done, cost_nano, ran_ms, below_nano"""

# The same for a batch in one round trip (PostgreSQL): what follows it is written by the number
# that the run's last event is expected to have, and nothing is when that is not so.
ADVANCE_AS_EXPECTED: Final = """
WITH advanced AS (ADVANCE)
SELECT 1 / count(*) FROM advanced""".replace(
    "ADVANCE", ADVANCE.replace("WHERE", "WHERE seq + :events = :expected AND", 1)
)

WHY_NOT: Final = """
SELECT fence, cancel_at, pause_at FROM lease WHERE run_id = :run AND state = 'running'"""

WRITE_STEP: Final = """
INSERT INTO step (run_id, path, attempt, organization_id, step_id, kind, state, effect, idem_key,
                  request, result, result_file, error, fence, seq, started_at, done_at, due_at,
                  due_ms, due_boot, cost_nano, tokens_in, tokens_out, worker)
VALUES (:run, :path, :attempt, :org, :step_id, :kind, :state, :effect, :idem_key,
        :request, :result, :result_file, :error, :fence, :seq, :started_at, :done_at, :due_at,
        {now} + CAST(:due_in_ms AS bigint), :boot, :cost, :tokens_in, :tokens_out, :worker)
ON CONFLICT (run_id, path, attempt) DO UPDATE SET
   state = excluded.state, request = COALESCE(excluded.request, step.request),
   result = excluded.result, result_file = excluded.result_file, error = excluded.error,
   fence = excluded.fence, seq = excluded.seq, done_at = excluded.done_at,
   due_at = excluded.due_at, due_ms = excluded.due_ms, due_boot = excluded.due_boot,
   cost_nano = excluded.cost_nano, tokens_in = excluded.tokens_in,
   tokens_out = excluded.tokens_out, worker = excluded.worker"""

WRITTEN: Final = """
SELECT seq FROM step
 WHERE run_id = :run AND path = :path AND attempt = :attempt
   AND state = :state AND fence = :fence AND seq > :after"""

WRITE_EVENT: Final = """
INSERT INTO event (run_id, seq, organization_id, at, type, data)
VALUES (:run, :seq, :org, :at, :type, :data)"""

END_RUN: Final = """
UPDATE run SET state = :state, reason = :reason, problems = :problems, result = :result,
       result_file = :result_file, error = :error, finished_at = :at, took_ms = :took_ms,
       cost_nano = :cost, below_nano = :below, steps_done = :done, seq = :seq
 WHERE id = :run"""

DROP_LEASE: Final = "DELETE FROM lease WHERE run_id = :run AND fence = :fence"

PARK_LEASE: Final = """
UPDATE lease SET state = 'waiting', wait_reason = :reason, worker = NULL, lease_until = NULL,
       due_at = CASE WHEN :due_ms < 0 THEN NULL ELSE {now} + :due_ms END
 WHERE run_id = :run AND fence = :fence"""

PARK_RUN: Final = "UPDATE run SET state = :state, reason = :reason WHERE id = :run"

# A run that was told to pause does so when its worker gives it up, however that comes about.
_GIVE_UP: Final = """
   SET state = CASE WHEN pause_at IS NULL OR cancel_at IS NOT NULL THEN 'ready' ELSE 'paused' END,
       pause_at = NULL,
       worker = NULL, lease_until = NULL"""

# More has come for the run than its worker had heard when it let go, or the run that started it
# has ended in the same commit: somebody must look.
UNHEARD: Final = """
UPDATE lease SET state = 'ready', vtime = 0, due_at = NULL, wait_reason = NULL
 WHERE run_id = :run AND state = 'waiting'
   AND (cancel_at IS NOT NULL
        OR (SELECT count(*) FROM signal WHERE signal.run_id = :run) > :heard)
RETURNING run_id"""

SIGNALS: Final = """
SELECT id, kind, key, data, by, at FROM signal WHERE run_id = :run ORDER BY id"""

# Which of them are new, the runs themselves know.
SIGNALS_HELD: Final = """
SELECT signal.run_id, signal.id
  FROM lease JOIN signal ON signal.run_id = lease.run_id
 WHERE lease.worker = :worker AND lease.state = 'running'
 ORDER BY signal.id"""

THESE_SIGNALS: Final = """
SELECT run_id, id, kind, key, data, by, at FROM signal WHERE id IN (KEYS) ORDER BY id"""

# The lease first: its row is the lock under which a run lets go and is woken. What a part has
# done and worked counts as the run's own; what any run below it has cost is kept beside that.
CALL_RUN: Final = """
UPDATE lease SET seq = seq + 1, below_nano = below_nano + :cost, done = done + :done,
       ran_ms = ran_ms + :ran_ms
 WHERE run_id = :run
RETURNING seq, state, wait_reason, organization_id"""

# A run that is over has told those above it what it cost: what comes later goes up by itself.
COST_BELOW: Final = """
UPDATE run SET below_nano = below_nano + :cost WHERE id = :run RETURNING parent_run"""

COST_BELOW_LIVE: Final = """
UPDATE lease SET below_nano = below_nano + :cost WHERE run_id = :run RETURNING run_id"""

NEW_SIGNAL: Final = """
INSERT INTO signal (run_id, id, organization_id, kind, key, data, by, at)
VALUES (:run, :id, :org, :kind, :key, :data, :by, :at)"""

WAKE_RUN: Final = """
UPDATE lease SET state = 'ready', vtime = 0, due_at = NULL, wait_reason = NULL
 WHERE run_id = :run"""

# Whoever claims one of them ends it. A run whose step did not wait for it stands on its own.
CANCEL_CHILDREN: Final = """
UPDATE lease SET cancel_at = {now}, vtime = CASE WHEN state = 'running' THEN vtime ELSE 0 END,
       state = CASE WHEN state IN ('waiting', 'paused') AND COALESCE(wait_reason, '') <> 'review'
                    THEN 'ready' ELSE state END
 WHERE cancel_at IS NULL AND run_id IN (
       SELECT id FROM run WHERE NOT EXISTS (SELECT 1 FROM step
               WHERE step.run_id = parent_run AND step.path = parent_path
                 AND step.state = 'succeeded') AND parent_run = :run)
RETURNING run_id"""

# What a commit changes beside its own runs is locked with them, in the order that everybody keeps.
LOCK_FAMILIES: Final = """
SELECT run_id FROM lease
 WHERE run_id IN (SELECT unnest(:runs) UNION SELECT id FROM run WHERE parent_run = ANY(:above))
 ORDER BY run_id FOR UPDATE"""

# What the step at a path has started ends with it.
CANCEL_CHILD: Final = CANCEL_CHILDREN.replace(
    "parent_run = :run)", "parent_run = :run AND parent_path = :path)"
)

HAND_BACK: Final = """
UPDATE lease GIVE_UP
 WHERE run_id = :run AND fence = :fence
RETURNING state, wait_reason""".replace("GIVE_UP", _GIVE_UP)

RELEASE: Final = """
UPDATE lease GIVE_UP, seq = seq + 1
 WHERE run_id = :run AND fence = :fence AND state = 'running'
RETURNING run_id, organization_id, seq, state, wait_reason""".replace("GIVE_UP", _GIVE_UP)

# In the order in which the journal writer takes its runs, or the two would wait for each other.
BEAT: Final = """
WITH held AS (SELECT run_id FROM lease WHERE worker = :worker AND state = 'running'
               ORDER BY run_id {locked})
UPDATE lease SET lease_until = {now} + :lease_ms
 WHERE run_id IN (SELECT run_id FROM held)
RETURNING run_id, fence, cancel_at, pause_at"""

# Whose moment comes while it is paused with others waits on, and keeps its distance to them.
_DUE: Final = """state = 'waiting' AND ({due}) AND (COALESCE(wait_reason, '') <> 'pace' OR NOT (
       EXISTS (SELECT 1 FROM queue_setting q
                WHERE q.queue = lease.queue AND q.paused_at IS NOT NULL)
       OR EXISTS (SELECT 1 FROM gate g
                   WHERE g.organization_id = lease.organization_id AND g.paused_at IS NOT NULL
                     AND g.scope_id IN (lease.organization_id, lease.workflow_id))))"""

# Two questions, each with an index of its own: what is queued is not looked through.
ANY_LOST: Final = f"""
SELECT 1
 WHERE EXISTS (SELECT 1 FROM lease WHERE state = 'running' AND {{lost}} AND cancel_at IS NULL)
    OR EXISTS (SELECT 1 FROM lease WHERE {_DUE})"""  # noqa: S608  # fixed parts

# Many sweep at once: each takes what no other has in hand, and looks at the state once more.
TAKE_BACK: Final = """
WITH silent AS (SELECT run_id FROM lease
                 WHERE state = 'running' AND {lost} AND cancel_at IS NULL {skip_locked})
UPDATE lease GIVE_UP, vtime = 0, seq = seq + 1
 WHERE run_id IN (SELECT run_id FROM silent) AND state = 'running'
RETURNING run_id, organization_id, seq, state, wait_reason""".replace("GIVE_UP", _GIVE_UP)

# A moment may have come when the wall clock was moved. Who waits for a span waits on.
LOOK_AGAIN: Final = """
UPDATE lease SET due_at = {now}
 WHERE state = 'waiting' AND due_at IS NOT NULL
   AND wait_reason IN ('time', 'signal', 'person', 'child')"""

WAKE: Final = f"""
WITH due AS (SELECT run_id FROM lease WHERE {_DUE} LIMIT 200 {{skip_locked}})
UPDATE lease SET state = 'ready', vtime = 0, due_at = NULL, seq = seq + 1
 WHERE run_id IN (SELECT run_id FROM due) AND state = 'waiting'
RETURNING run_id, organization_id, seq, state, wait_reason"""  # noqa: S608  # fixed parts

# Beside the places in line it counts how many runs began, for metrics and estimates.
FAIR_CLAIMED: Final = """
UPDATE fair SET waiting = waiting - :count,
       claimed_vtime = {greatest}(claimed_vtime, CAST(:vtime AS bigint)),
       begun_before = CASE WHEN minute = :minute THEN begun_before
                           WHEN minute = :minute - 1 THEN begun ELSE 0 END,
       begun = CASE WHEN minute = :minute THEN begun + :count ELSE :count END, minute = :minute
 WHERE queue = :queue AND organization_id = :org"""

STREAMED: Final = "UPDATE lease SET wrote_at = {now} WHERE run_id = :run AND worker = :worker"

SEEN: Final = """
INSERT INTO worker (id, host, pid, boot, version, started_at, seen_at, running)
VALUES (:id, :host, :pid, :boot, :version, :started_at, :seen_at, :running)
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, running = excluded.running"""

SEE_EVERYTHING: Final = "SELECT set_config('app.organization_id', '*', true)"

SEE_EVERYTHING_ALWAYS: Final = "SELECT set_config('app.organization_id', '*', false)"

"""The SQL of the hot path, written once for both databases (TABLES.md measured it).

They go to the driver as text, by `kernel/rawsql.py`.
"""

from __future__ import annotations

from typing import Final

# An organization that comes late starts at the head of the queue, not at zero. While nobody waits,
# the head is the newest turn of all: or who worked much in the past would stay behind newcomers.
NEXT_TURN: Final = """
INSERT INTO fair (queue, organization_id, last_vtime, waiting)
VALUES (:queue, :org, CAST(:turn AS bigint) + COALESCE((SELECT min(vtime) FROM lease
        WHERE queue = CAST(:queue AS varchar) AND state = 'ready' AND vtime > 0),
       (SELECT max(last_vtime) FROM fair WHERE queue = CAST(:queue AS varchar)), 0), 1)
ON CONFLICT (queue, organization_id) DO UPDATE SET
   last_vtime = {greatest}(fair.last_vtime + CAST(:turn AS bigint), excluded.last_vtime),
   waiting = fair.waiting + 1
 WHERE fair.waiting < :most
RETURNING last_vtime"""

NEW_RUN: Final = """
INSERT INTO run (id, organization_id, workflow_id, version_id, state, problems, kind,
                 started_by_kind, started_by, started_by_name, idem_key, inputs, queued_at,
                 cost_nano, steps_done, seq)
VALUES (:id, :org, :workflow, :version, 'queued', :no, :kind,
        :by_kind, :by, :by_name, :key, :inputs, :at, 0, 0, 1)"""

NEW_LEASE: Final = """
INSERT INTO lease (run_id, organization_id, queue, state, vtime, fence, seq, done, total,
                   cost_nano, ran_ms)
VALUES (:run, :org, :queue, 'ready', :vtime, 0, 1, 0, :total, 0, 0)"""

# Rows are chosen in a WITH of their own: as a sub-select, PostgreSQL may ask for them once a row,
# and take more than `most`.
CLAIM: Final = """
WITH chosen AS (SELECT run_id FROM lease WHERE queue = :queue AND state = 'ready'
                 ORDER BY vtime LIMIT :most {skip_locked})
UPDATE lease SET state = 'running', worker = :worker, boot = :boot, fence = fence + 1,
       lease_until = {now} + :lease_ms, seq = seq + 1, due_at = NULL, wait_reason = NULL
 WHERE run_id IN (SELECT run_id FROM chosen)
RETURNING run_id, organization_id, fence, seq, ran_ms, done, cost_nano, cancel_at"""

ANY_READY: Final = "SELECT 1 FROM lease WHERE queue = :queue AND state = 'ready' LIMIT 1"

BEGIN_RUN: Final = """
UPDATE run SET state = 'running', started_at = COALESCE(started_at, :at), reason = NULL
 WHERE id = :run
RETURNING id, workflow_id, version_id, inputs, queued_at, started_at, started_by_name, kind"""

PLAN: Final = """
SELECT version.plan, version.number, organization.slug
  FROM version JOIN organization ON organization.id = version.organization_id
 WHERE version.id = :version"""

STEPS: Final = """
SELECT path, attempt, step_id, kind, state, effect, idem_key, request, result, result_file,
       error, due_at, started_at, cost_nano, tokens_in, tokens_out
  FROM step WHERE run_id = :run ORDER BY path, attempt"""

# What was requeued since the run last got on.
REQUEUED: Final = """
SELECT data FROM event
 WHERE run_id = :run AND type = 'run.requeued'
   AND seq > COALESCE((SELECT max(seq) FROM event WHERE run_id = :run AND type NOT IN (
       'run.queued', 'run.started', 'run.resumed', 'run.requeued', 'run.cancelling',
       'step.resumed')), 0)"""

# 0 rows: the fence moved on, or the run is to be cancelled and the batch begins something new.
ADVANCE: Final = """
UPDATE lease SET seq = seq + :events, done = done + :done, cost_nano = cost_nano + :cost,
       ran_ms = ran_ms + :ran_ms, lease_until = {now} + :lease_ms
 WHERE run_id = :run AND fence = :fence AND state = 'running'
   AND (cancel_at IS NULL OR :begins = 0)
RETURNING seq, done, cost_nano"""

WHY_NOT: Final = "SELECT fence, cancel_at FROM lease WHERE run_id = :run AND state = 'running'"

WRITE_STEP: Final = """
INSERT INTO step (run_id, path, attempt, organization_id, step_id, kind, state, effect, idem_key,
                  request, result, result_file, error, fence, seq, started_at, done_at, due_at,
                  cost_nano, tokens_in, tokens_out, worker)
VALUES (:run, :path, :attempt, :org, :step_id, :kind, :state, :effect, :idem_key,
        :request, :result, :result_file, :error, :fence, :seq, :started_at, :done_at, :due_at,
        :cost, :tokens_in, :tokens_out, :worker)
ON CONFLICT (run_id, path, attempt) DO UPDATE SET
   state = excluded.state, request = COALESCE(excluded.request, step.request),
   result = excluded.result, result_file = excluded.result_file, error = excluded.error,
   fence = excluded.fence, seq = excluded.seq, done_at = excluded.done_at,
   due_at = excluded.due_at, cost_nano = excluded.cost_nano, tokens_in = excluded.tokens_in,
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
       cost_nano = :cost, steps_done = :done, seq = :seq
 WHERE id = :run"""

DROP_LEASE: Final = "DELETE FROM lease WHERE run_id = :run AND fence = :fence"

PARK_LEASE: Final = """
UPDATE lease SET state = 'waiting', wait_reason = :reason, worker = NULL, lease_until = NULL,
       due_at = CASE WHEN :due_ms < 0 THEN NULL ELSE {now} + :due_ms END
 WHERE run_id = :run AND fence = :fence"""

PARK_RUN: Final = "UPDATE run SET state = :state, reason = :reason WHERE id = :run"

HAND_BACK: Final = """
UPDATE lease SET state = 'ready', worker = NULL, lease_until = NULL
 WHERE run_id = :run AND fence = :fence"""

RELEASE: Final = """
UPDATE lease SET state = 'ready', worker = NULL, lease_until = NULL, seq = seq + 1
 WHERE run_id = :run AND fence = :fence AND state = 'running'
RETURNING run_id, organization_id, seq"""

# In the order in which the journal writer takes its runs, or the two would wait for each other.
BEAT: Final = """
WITH held AS (SELECT run_id FROM lease WHERE worker = :worker AND state = 'running'
               ORDER BY run_id {locked})
UPDATE lease SET lease_until = {now} + :lease_ms
 WHERE run_id IN (SELECT run_id FROM held)
RETURNING run_id, fence, cancel_at"""

# Two questions, each with an index of its own: what is queued is not looked through.
ANY_LOST: Final = """
SELECT 1
 WHERE EXISTS (SELECT 1 FROM lease WHERE state = 'running' AND {lost} AND cancel_at IS NULL)
    OR EXISTS (SELECT 1 FROM lease WHERE state = 'waiting' AND ({due}))"""

# Many sweep at once: each takes what no other has in hand, and looks at the state once more.
TAKE_BACK: Final = """
WITH silent AS (SELECT run_id FROM lease
                 WHERE state = 'running' AND {lost} AND cancel_at IS NULL {skip_locked})
UPDATE lease SET state = 'ready', vtime = 0, worker = NULL, lease_until = NULL, seq = seq + 1
 WHERE run_id IN (SELECT run_id FROM silent) AND state = 'running'
RETURNING run_id, organization_id, seq"""

WAKE: Final = """
WITH due AS (SELECT run_id FROM lease WHERE state = 'waiting' AND ({due}) LIMIT 200 {skip_locked})
UPDATE lease SET state = 'ready', vtime = 0, due_at = NULL, seq = seq + 1
 WHERE run_id IN (SELECT run_id FROM due) AND state = 'waiting'
RETURNING run_id, organization_id, seq"""

FAIR_CLAIMED: Final = """
UPDATE fair SET waiting = waiting - :count WHERE queue = :queue AND organization_id = :org"""

SEEN: Final = """
INSERT INTO worker (id, host, pid, boot, version, started_at, seen_at, running)
VALUES (:id, :host, :pid, :boot, :version, :started_at, :seen_at, :running)
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, running = excluded.running"""

SEE_EVERYTHING: Final = "SELECT set_config('app.organization_id', '*', true)"

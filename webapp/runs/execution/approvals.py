"""The row of an approval, opened and closed in the commit that writes its step's row.

So a run that waits for people has asked them, whenever its worker dies; and who answers a
question that nobody asks any more is told so.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from webapp.engine.journal import Record
from webapp.engine.mailbox import frozen_of
from webapp.kernel.clock import now
from webapp.kernel.ids import new_id
from webapp.kernel.rawsql import Sql

Statement = tuple[str, dict[str, Any]]

OPEN: Final = """
INSERT INTO approval (id, organization_id, run_id, path, round, state, request_sha, nonce, who,
                      need, not_starter, deputy, made_at, due_at, due_s, pass_to, remind_at,
                      look_at)
VALUES (:id, :org, :run, :path, :round, 'open', :sha, :nonce, :who,
        :need, :not_starter, :deputy, :at, :due_at, :due_s, :pass_to, :remind_at, :at)
ON CONFLICT (run_id, path, round) DO NOTHING"""

CLOSE: Final = """
UPDATE approval SET state = 'cancelled', look_at = NULL
 WHERE run_id = :run AND path = :path AND round = :round AND state = 'open'"""


def statement_for(record: Record, run: UUID, organization: UUID, sql: Sql) -> Statement | None:
    """Return what is to be done about the approval of a step's row; None: the row has none."""
    if record.kind != "approval":
        return None
    place = {"run": sql.id(run), "path": record.path, "round": record.attempt}
    if record.state == "waiting" and record.request is not None:
        return OPEN, place | {"org": sql.id(organization)} | _opened(record, sql)
    return CLOSE, place


def _opened(record: Record, sql: Sql) -> dict[str, Any]:
    asked, at = frozen_of(record)["approval"], now()
    need, then = asked["need"], asked["at_due"]
    due_s = asked.get("due_s")
    remind_s = asked.get("remind_s")
    return {
        "id": sql.id(new_id()),
        "sha": sha256(record.request or b"").hexdigest(),
        "nonce": secrets.token_bytes(32),
        "who": sql.json(asked["who"]),
        "need": need["n"] if isinstance(need, dict) else {"any": 1, "all": 0}[need],
        "not_starter": asked["not_starter"],
        "deputy": sql.json(asked.get("deputy")),
        "at": sql.moment(at),
        "due_at": sql.moment(_due_at(asked, at)),
        "due_s": due_s,
        "pass_to": sql.json(then["pass_to"]) if isinstance(then, dict) else None,
        "remind_at": None if remind_s is None else sql.moment(at + timedelta(seconds=remind_s)),
    }


def _due_at(asked: dict[str, Any], at: datetime) -> datetime | None:
    if asked.get("due_s") is not None:
        return at + timedelta(seconds=asked["due_s"])
    return datetime.fromisoformat(asked["due_at"]) if asked.get("due_at") else None

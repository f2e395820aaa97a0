"""The relay: send what the outbox holds, at least once, and write down how it went."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from typing import Any

from jobs.base import Machine
from webapp.audit.service import anchor_heads
from webapp.kernel.clock import now
from webapp.kernel.crashpoints import crashpoint
from webapp.kernel.mails import send_mail
from webapp.kernel.outbox import Delivery
from webapp.kernel.settings import Settings
from webapp.live.relay import settle_delivery, take_deliveries

log = logging.getLogger(__name__)

Sender = Callable[[Settings, dict[str, Any]], None]


def append_anchor(settings: Settings, head: dict[str, Any]) -> None:
    """Keep the head of an audit chain outside of the database; a repeat is one more line."""
    folder = settings.data / "audit"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "heads.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(head, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())


SENDERS: dict[str, Sender] = {"anchor": append_anchor, "mail": send_mail}


def relay(machine: Machine) -> int:
    """Send what is due; returns how many were tried."""
    with machine.unit() as ctx:
        taken = take_deliveries(ctx, SENDERS)
    crashpoint("relay.after_claim")
    away: dict[str, str] = {}
    for delivery in taken:
        # What is not reached at all is not knocked at again for each of its deliveries.
        problem = away.get(delivery.kind) or _send(machine.settings, delivery, away)
        crashpoint("relay.after_push_before_mark")
        with machine.unit() as ctx:
            settle_delivery(ctx, delivery, problem)
    return len(taken)


def _send(settings: Settings, delivery: Delivery, away: dict[str, str]) -> str | None:
    """Send one delivery; return why it failed, and note which kind can't be reached now."""
    problem = None
    try:
        SENDERS[delivery.kind](settings, delivery.payload)
    except OSError as error:
        problem = type(error).__name__
        log.warning("a delivery failed and is tried again: %s", problem)
        if isinstance(error, ConnectionError | TimeoutError):
            away[delivery.kind] = problem
    except Exception as error:
        problem = type(error).__name__
        log.exception("a delivery cannot be made")  # the others must not wait for it
    return problem


def anchor(machine: Machine) -> int:
    """Send the heads of audit chains that grew out of the database; once an hour is enough."""
    with machine.unit() as ctx:
        return anchor_heads(ctx, f"{now():%Y-%m-%dT%H}")

"""When sessions and keys were last used: marked in Redis by requests that only look.

Reading a page must change nothing, so the web leaves a mark and the steward writes it down.
A mark that is lost costs a minute of "last used".
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from redis import Redis, RedisError

from jobs.base import Machine
from webapp.accounts.service import note_seen
from webapp.api_keys.service import note_used
from webapp.live.redis import connect

log = logging.getLogger(__name__)

SEEN: Final = "dh:seen"
USED: Final = "dh:used"


def write_marks(machine: Machine) -> int:
    """Write down what was marked since the last time; return how many marks."""
    if not machine.settings.redis_url:
        return 0
    try:
        with connect(machine.settings.redis_url) as redis:
            seen, used = _take(redis, SEEN), _take(redis, USED)
    except (RedisError, OSError) as error:
        log.warning("marks wait for Redis: %s", error)
        return 0
    with machine.unit() as ctx:
        note_seen(ctx.session, {bytes.fromhex(key): at for key, at in seen.items()})
        note_used(ctx.session, {UUID(key): at for key, at in used.items()})
    return len(seen) + len(used)


def _take(redis: Redis, name: str) -> dict[str, datetime]:
    with redis.pipeline(transaction=True) as both:
        both.hgetall(name)
        both.delete(name)
        marks: dict[bytes, bytes] = both.execute()[0]
    return {key.decode(): datetime.fromtimestamp(float(value), UTC) for key, value in marks.items()}

"""A worker process: RQ listens in the main thread, the runner works in its own.

RQ only rings. When Redis is away, the runner's sweep finds the work all the same, and this loop
tries to listen again. SIGTERM ends the listening, then the runner finishes or hands back.
"""

from __future__ import annotations

import logging
import threading

import redis
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty

from jobs.base import Signals, prepare
from jobs.runs import on_poke
from webapp.kernel.clock import now
from webapp.kernel.heartbeat import beat
from webapp.live.bell import RING_S, BackgroundBell, RedisBell
from webapp.live.redis import connect
from webapp.runs.execution.runner import QUEUE, Runner, make_runner

log = logging.getLogger(__name__)

DRAIN_S = 9.0
TIDY_S = 30
"""RQ looks so often for what killed workers had in hand; a ring is forgotten sooner."""
_RETRY_S = 1.0
_LOOK_S = 0.5


class Ear(SimpleWorker):
    """Hears the bell. Keeps no results, forks nothing, and leaves the signals to us."""

    death_penalty_class = TimerDeathPenalty  # no SIGALRM: jobs return at once

    def _install_signal_handlers(self) -> None:
        return None

    def get_heartbeat_ttl(self, job: Job) -> int:
        """Return for how long a ring may be in hand: it is nothing that takes time."""
        return RING_S


def main() -> None:
    """Work until SIGTERM or SIGINT."""
    settings = prepare()
    bell = RedisBell(settings.redis_url)
    runner = make_runner(settings, BackgroundBell(bell), lambda: bell.answer(QUEUE))
    stopping = threading.Event()
    ears: list[Ear] = []
    signals = Signals()
    runner.start()
    on_poke(runner.wake)
    beat(runner.is_alive)
    threading.Thread(
        target=_listen, args=(settings.redis_url, runner, ears, stopping), daemon=True, name="ear"
    ).start()
    while not signals.wait(_LOOK_S):
        pass
    stopping.set()
    for ear in ears:
        ear._stop_requested = True
    runner.drain(DRAIN_S)


def _listen(url: str, runner: Runner, ears: list[Ear], stopping: threading.Event) -> None:
    """Hear rings until asked to stop; whatever happens to Redis, come back to it."""
    while not stopping.is_set():
        try:
            connection = connect(url, timeout_s=60)
            queue = Queue(QUEUE, connection=connection, serializer=JSONSerializer)
            ear = Ear(
                [queue],
                connection=connection,
                serializer=JSONSerializer,
                worker_ttl=60,
                maintenance_interval=TIDY_S,
            )
            ear.log_result_lifespan = False
            # The first look comes later, when rings that nobody heard have expired.
            ear.last_cleaned_at = now()  # type: ignore[assignment]
            ears[:] = [ear]
            ear.work(logging_level="WARNING")
        except (redis.RedisError, OSError) as error:
            log.warning("the bell is silent, the sweep works on: %s", error)
            runner.wake()
        stopping.wait(_RETRY_S)


if __name__ == "__main__":
    main()

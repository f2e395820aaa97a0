"""One way to open Redis: short time-outs, since nothing that waits for it may stand still."""

from __future__ import annotations

import threading
from typing import Any

import redis


def connect(url: str, *, timeout_s: float = 1.0) -> redis.Redis:
    """Return a client that fails fast; connecting happens at the first command."""
    return redis.Redis.from_url(
        url, socket_timeout=timeout_s, socket_connect_timeout=0.5, health_check_interval=30
    )


class Line:
    """A connection of one's own for commands that may be sent twice, several in one round trip.

    A pipeline of the client takes three times as much CPU, and each commit of a run sends one.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._connection = client.connection_pool.make_connection()
        self._lock = threading.Lock()

    def send(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Return the answers, in order. A connection that has gone away is opened once more.

        Raises:
            redis.RedisError: Redis is away, or refuses a command.
        """
        with self._lock:
            packed = self._connection.pack_commands(commands)
            try:
                return self._ask(packed, len(commands))
            except redis.TimeoutError:
                raise
            except redis.ConnectionError:
                return self._ask(packed, len(commands))

    def _ask(self, packed: Any, count: int) -> list[Any]:
        try:
            self._connection.send_packed_command(packed, check_health=False)
            return [self._connection.read_response() for _ in range(count)]
        except BaseException:
            self._connection.disconnect()  # or the next one would read this one's answers
            raise

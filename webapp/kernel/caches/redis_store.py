"""Kept answers in Redis or Valkey, for all processes of all machines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import redis

from webapp.kernel.caches.stores import Entry, StoreAway

# Times are Redis's own, so that machines whose clocks differ agree about an answer's age. An
# entry outlives its time by as much again: the next answer is compared with it.
_NOW: Final = """
local now = redis.call('TIME'); now = now[1] * 1000 + math.floor(now[2] / 1000)
local function turn() return redis.call('INCR', KEYS[2]) end
local function of(key) return ARGV[1] .. key end
"""
_FIND: Final = """
local found = redis.call('HMGET', of(ARGV[2]), 'value', 'life', 'uses', 'looks', 'changes',
                         'watched', 'at')
if not found[1] then redis.call('ZREM', KEYS[1], ARGV[2]); return false end
local age = now - found[7]
if ARGV[3] == '1' then
  redis.call('ZADD', KEYS[1], turn(), ARGV[2])
  if age >= 0 and age < tonumber(found[2]) then
    found[3] = redis.call('HINCRBY', of(ARGV[2]), 'uses', 1)
  end
end
found[7] = age
return found
"""
_PUT: Final = """
redis.call('HSET', of(ARGV[2]), 'value', ARGV[3], 'life', ARGV[4], 'uses', ARGV[5], 'looks',
           ARGV[6], 'changes', ARGV[7], 'watched', ARGV[8], 'at', now)
redis.call('PEXPIRE', of(ARGV[2]), math.max(1000, ARGV[4] * 2))
redis.call('ZADD', KEYS[1], turn(), ARGV[2])
"""
_DROP: Final = """
for n = 2, #ARGV do
  redis.call('DEL', of(ARGV[n])); redis.call('ZREM', KEYS[1], ARGV[n])
end
"""
_OLDEST: Final = """
local found = {}
for _, key in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[2] - 1)) do
  local entry = redis.call('HMGET', of(key), 'at', 'life')
  local fresh = entry[1] and now - entry[1] < tonumber(entry[2])
  found[#found + 1] = key; found[#found + 1] = fresh and 1 or 0
end
return found
"""
_MOVE_UP: Final = """
for n = 2, #ARGV do redis.call('ZADD', KEYS[1], 'XX', turn(), ARGV[n]) end
"""


class RedisStore:
    """Args: prefix: of all its keys."""

    def __init__(self, client: redis.Redis, prefix: str = "dh:cache:") -> None:
        self._client = client
        self._prefix = prefix
        self._keys = [f"{prefix}order", f"{prefix}turn"]
        self._scripts = {
            name: client.register_script(_NOW + body)
            for name, body in (
                ("find", _FIND), ("put", _PUT), ("drop", _DROP), ("oldest", _OLDEST),
                ("move_up", _MOVE_UP),
            )
        }  # fmt: skip

    def find(self, key: str, *, use: bool = True) -> Entry | None:
        found = self._do("find", key, int(use))
        if found is None:
            return None
        value, life, uses, looks, changes, watched, age = found
        return Entry(
            value=value,
            life_s=float(life) / 1000,
            uses=int(uses),
            looks=int(looks),
            changes=int(changes),
            watched_s=float(watched),
            age_s=float(age) / 1000,
        )

    def put(self, key: str, entry: Entry) -> None:
        self._do(
            "put", key, entry.value, int(entry.life_s * 1000), entry.uses, entry.looks,
            entry.changes, entry.watched_s,
        )  # fmt: skip

    def drop(self, keys: Iterable[str]) -> None:
        self._do("drop", *keys)

    def oldest(self, most: int) -> list[tuple[str, bool]]:
        found = iter(self._do("oldest", most))
        return [(key.decode(), bool(fresh)) for key, fresh in zip(found, found, strict=True)]

    def move_up(self, keys: Iterable[str]) -> None:
        self._do("move_up", *keys)

    def __len__(self) -> int:
        try:
            return self._client.zcard(self._keys[0])
        except (redis.RedisError, OSError) as error:
            raise StoreAway(type(error).__name__) from error

    def close(self) -> None:
        self._client.close()

    def _do(self, script: str, *args: Any) -> Any:
        try:
            return self._scripts[script](keys=self._keys, args=[self._prefix, *args])
        except (redis.RedisError, OSError) as error:
            raise StoreAway(type(error).__name__) from error

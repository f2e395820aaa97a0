"""`ports.Answers`: the cache, where no organization ever meets another one's answers."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import redis

from webapp.engine.canonical import from_bytes, to_bytes
from webapp.engine.ports import KeptAnswer
from webapp.kernel.caches import Cache, MemoryStore, Store
from webapp.kernel.caches.tallies import Tally
from webapp.kernel.settings import Settings

_FILE: Final = "cache.sqlite3"
_TELL_S: Final = 2.0


class WorkerCache:
    """The cache of one worker, and what it tells about itself."""

    def __init__(self, cache: Cache, tally: Tally | None, *, quick: bool) -> None:
        self.cache = cache
        self.tally = tally
        self.quick = quick
        """It never waits, so that no thread is needed for it."""
        self._telling = False

    def close(self) -> None:
        self.tell()
        self.cache.close()

    def tell_soon(self) -> None:
        """Tell Redis in a moment, once for all that happens until then."""
        if not self._telling:
            self._telling = True
            loop = asyncio.get_running_loop()
            loop.call_later(_TELL_S, loop.run_in_executor, None, self.tell)

    def tell(self) -> None:
        self._telling = False
        if self.tally is not None:
            self.tally.add(self.cache.figures)


class OrganizationAnswers:
    def __init__(self, kept: WorkerCache, organization: UUID) -> None:
        self._kept = kept
        self._organization = organization

    async def find(self, group: str, request: bytes) -> KeptAnswer | None:
        key = self._key(group, request)
        found = await self._do(lambda: self._kept.cache.find(key))
        if found is None:
            return None
        return KeptAnswer(from_bytes(found.value), found.age_s)

    async def keep(
        self, group: str, request: bytes, result: dict[str, Any], fresh_s: float
    ) -> None:
        key, value = self._key(group, request), to_bytes(result)
        whose = f"{self._organization}|{group}"
        await self._do(lambda: self._kept.cache.keep(key, whose, value, fresh_s))

    def _key(self, group: str, request: bytes) -> str:
        """The organization is part of what is hashed, and none of the parts can hold a 0 byte."""
        whole = b"\0".join((self._organization.bytes.hex().encode(), group.encode(), request))
        return sha256(whole).hexdigest()

    async def _do(self, act: Any) -> Any:
        done = act() if self._kept.quick else await asyncio.to_thread(act)
        self._kept.tell_soon()
        return done


def open_cache(settings: Settings, client: redis.Redis | None) -> WorkerCache | None:
    """Return the cache that the settings want; None: they want none."""
    store: Store
    match settings.cache_backend:
        case "off":
            return None
        case "sqlite":
            from webapp.kernel.caches.sqlite_store import SqliteStore

            store = SqliteStore(settings.data / _FILE)
        case "redis" if client is not None:
            from webapp.kernel.caches.redis_store import RedisStore

            store = RedisStore(client)
        case _:
            store = MemoryStore()
    tally = Tally(client) if client is not None else None
    quick = isinstance(store, MemoryStore)
    return WorkerCache(Cache(store, settings.cache_items), tally, quick=quick)

"""Keep answers for a while, so that the same question need not be asked again."""

from webapp.kernel.caches.cache import MOST_BYTES, Cache, Figures, Found
from webapp.kernel.caches.stores import Entry, MemoryStore, Store, StoreAway

__all__ = [
    "MOST_BYTES",
    "Cache",
    "Entry",
    "Figures",
    "Found",
    "MemoryStore",
    "Store",
    "StoreAway",
]

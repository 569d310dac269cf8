"""The cache of the tests, where it is Redis."""

from __future__ import annotations

from django.core.cache.backends.redis import RedisCache


class OwnKeysCache(RedisCache):
    """Django's `clear` empties the whole database, in which other processes keep their queue meanwhile; this one
    removes what it wrote itself."""

    def clear(self) -> bool:
        client = self._cache.get_client(write=True)
        keys = list(client.scan_iter(match=f"{self.key_prefix}:*"))
        return bool(keys and client.delete(*keys))

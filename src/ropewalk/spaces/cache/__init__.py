"""Cache: sealed chunks that were read or written lately, kept on this machine within a limit (docs/spec/offline.md).

In the order to read them: ``file`` (SQLite), ``cache`` (the way to it from the event loop).
"""

from ropewalk.spaces.cache.cache import Cache
from ropewalk.spaces.cache.file import CACHE_FILE, LEAST, ChunkFile

__all__ = ["CACHE_FILE", "LEAST", "Cache", "ChunkFile"]

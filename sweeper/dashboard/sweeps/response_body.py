"""Response body: the bytes of an answer, plain and compressed, with a tag for the browser."""

import gzip
import hashlib
from dataclasses import dataclass

SHORT = 1024
"""Bytes under which compression is not worth its header."""


@dataclass(frozen=True, slots=True)
class ResponseBody:
    """The bytes of an answer, plain and compressed."""

    plain: bytes
    compressed: bytes | None
    tag: str
    """For the ETag header: equal for equal bytes."""

    @classmethod
    def of(cls, content: bytes) -> "ResponseBody":
        """Compress the content unless it is short."""
        is_short = len(content) < SHORT
        compressed = None if is_short else gzip.compress(content, compresslevel=5, mtime=0)
        return cls(content, compressed, f'"{hashlib.sha256(content).hexdigest()[:24]}"')

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return len(self.plain) + len(self.compressed or b"")

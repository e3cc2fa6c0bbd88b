"""Seeds: everything random follows from the seed of a sweep and what it is for."""

import hashlib
import json


def derive_seed(*parts: int | str) -> int:
    """Return a seed in [0, 2^32) that is a fixed function of its parts.

    >>> derive_seed(0, "init", 0, 0) == derive_seed(0, "init", 0, 0)
    True
    """
    text = json.dumps(parts, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")

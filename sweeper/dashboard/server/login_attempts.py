"""Login attempts with wrong tokens, counted by the address that they come from."""

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sweeper.errors import InputError
from sweeper.settings import PROXIES_VARIABLE

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MOST_PROXIES = 10
BURST = 20
"""Wrong tokens of an address that are answered as such at once; after them one a second."""
ADDRESSES = 10_000
"""Addresses that are remembered. Who has more gets no further by it: each of them has its burst."""


def proxies(environment: Mapping[str, str]) -> int:
    """Return the number of proxies before the server, by the environment. Raises InputError."""
    text = environment.get(PROXIES_VARIABLE, "0")
    if not (text.isascii() and text.isdigit() and len(text) <= 2 and int(text) <= MOST_PROXIES):
        raise InputError(f"{PROXIES_VARIABLE}: got {text!r}; allowed: 0 to {MOST_PROXIES}")
    return int(text)


def client(environ: "WSGIEnvironment", proxies: int) -> str:
    """Return the client that a wrong token is counted for: an address, or a /64 of IPv6.

    Each proxy adds to X-Forwarded-For whom it was asked by. What stands further to the left than
    there are proxies, anybody may have written: it is not read.
    """
    peer = environ.get("REMOTE_ADDR", "")
    hops = environ.get("HTTP_X_FORWARDED_FOR", "").split(",")
    forwarded = hops[-proxies] if 0 < proxies <= len(hops) else ""
    return _network(forwarded) or _network(peer) or peer


def _network(text: str) -> str | None:
    # Some proxies add the port: 192.0.2.1:4711, [2001:db8::1]:4711.
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    # A household or a rented machine has 2 ** 64 addresses, if not more.
    return f"{ipaddress.IPv6Address(int(address) >> 64 << 64)}/64"


class LoginAttempts:
    """Wrong tokens that each address has left; the addresses heard of last are remembered."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Address -> wrong tokens left, and when that was; whoever guessed last comes last."""
        self._guard = threading.Lock()

    def __len__(self) -> int:
        return len(self._left)

    def wrong(self, address: str) -> int:
        """Count a wrong token; returns the seconds to wait before another, 0 within the limit."""
        with self._guard:
            now = time.monotonic()
            left, then = self._left.pop(address, (float(BURST), now))
            left = min(BURST, left + now - then)
            is_over = left < 1
            self._left[address] = (left if is_over else left - 1, now)
            while len(self._left) > ADDRESSES or self._oldest_recovered(now):
                self._left.popitem(last=False)
            return math.ceil(1 - left) if is_over else 0

    def _oldest_recovered(self, now: float) -> bool:
        """Tell if the address heard of longest ago has its whole burst again."""
        _, then = next(iter(self._left.values()))
        return now - then > BURST

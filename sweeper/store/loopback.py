"""Loopback addresses: those of this machine that no other machine reaches."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Tell whether only programs of this machine can reach a host's address.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.2", "::1", "[::1]", "0.0.0.0")]
    [True, True, True, True, False]
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(bare(host)).is_loopback
    except ValueError:
        return False


def bare(host: str) -> str:
    """Return an address without the brackets that it has in URLs.

    >>> bare("[::1]"), bare("localhost")
    ('::1', 'localhost')
    """
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host

"""A way to a database on loopback that a test can cut: what a network does, without a network."""

import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import parse_qs, urlsplit


class Proxy:
    """Forwards TCP on loopback to a server.

    Frozen, it takes connections and bytes and forwards none; closed, it refuses connections.
    """

    def __init__(self, target: str | tuple[str, int]) -> None:
        self._target = target
        self._flows = threading.Event()
        self._flows.set()
        self._open: list[socket.socket] = []
        self._left = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._serve()

    @classmethod
    def before(cls, url: str) -> Self:
        """Return a proxy for the server of a storage URL."""
        parts = urlsplit(url)
        folder = parse_qs(parts.query).get("host")
        if folder:
            return cls(f"{folder[0]}/.s.PGSQL.5432")
        return cls((parts.hostname or "127.0.0.1", parts.port or 3306))

    def url(self, url: str, host: str = "127.0.0.1", **options: object) -> str:
        """Return the URL of the same database by way of this proxy."""
        parts = urlsplit(url)
        query = "&".join(f"{key}={value}" for key, value in options.items())
        scheme = parts.scheme.partition("+")[0]
        return f"{scheme}://{parts.username}@{host}:{self.port}{parts.path}?{query}"

    def freeze(self) -> None:
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    def refuse(self) -> None:
        """Cut every connection, and take no new ones."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes up who waits in accept
        self._listener.close()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()

    def accept(self) -> None:
        """Take connections again, at the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._serve()

    def lose_at(self, message: int) -> None:
        """Lose the connection that sends the so-manyth message from now on; others are served."""
        self._left = message

    @property
    def has_lost(self) -> bool:
        """Whether the message to be lost has been sent, or none was named."""
        return self._left == 0

    def close(self) -> None:
        self.thaw()
        self.refuse()

    def _serve(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = self._connected()
            except OSError:
                return
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                way = (source, sink, source is near)
                threading.Thread(target=self._copy, args=way, daemon=True).start()

    def _connected(self) -> socket.socket:
        if isinstance(self._target, tuple):
            return socket.create_connection(self._target)
        far = socket.socket(socket.AF_UNIX)
        far.connect(self._target)
        return far

    def _copy(self, source: socket.socket, sink: socket.socket, asks: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                if asks and self._left:
                    self._left -= 1
                    if not self._left:
                        source.shutdown(socket.SHUT_RDWR)
                        break
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)

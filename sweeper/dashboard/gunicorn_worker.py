"""Worker class for gunicorn: it serves as `sweeper dashboard` does.

gunicorn's own threads each wait for the rest of a request: sixteen half ones stop sixteen threads.
"""

import os
import time
from typing import Any

from gunicorn.workers.base import Worker as Base
from waitress.task import ThreadedTaskDispatcher

from sweeper.dashboard.server.connections import HTTPServer


class Worker(Base):  # type: ignore[misc]  # gunicorn ships no type hints
    """A process that serves with `--threads` threads, at connections that nobody can hold up."""

    def run(self) -> None:
        """Serve until gunicorn says that it is enough, then finish what is being answered."""
        connections: dict[int, Any] = {}
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(self.cfg.threads)
        servers = [
            HTTPServer(listener.sock, self.wsgi, connections=connections, dispatcher=dispatcher)
            for listener in self.sockets
        ]
        while self.alive and self.ppid == os.getppid():
            self.notify()
            servers[0].turn()
        deadline = time.monotonic() + self.cfg.graceful_timeout
        for server in servers:
            server.del_channel()  # it accepts nobody any more
        while time.monotonic() < deadline and any(
            connection.requests or connection.total_outbufs_len
            for server in servers
            for connection in server.active_channels.values()
        ):
            self.notify()
            servers[0].turn()
        servers[0].end(max(0.0, deadline - time.monotonic()))

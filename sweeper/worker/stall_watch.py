"""Stall watch: sweeps that stand still, for the webhook, and ends that nobody has told of."""

import threading
import time
from contextlib import suppress

from sweeper.errors import InputError, StorageError, UnknownSweepError, pluralize
from sweeper.retry import RetryPolicy
from sweeper.store import Store
from sweeper.types import SweepStatus
from sweeper.worker import webhook

STILL_SECONDS = 1800.0
"""Without a record, a worker that comes and a step forward of any, after which a sweep stalls."""


class StallWatch:
    """What was seen of each sweep last, and since when it has not changed."""

    def __init__(self, still_seconds: float = STILL_SECONDS) -> None:
        self._still_seconds = still_seconds
        self._seen: dict[str, tuple[object, float]] = {}
        self._moving: set[str] = set()
        """Sweeps that were seen at work."""
        self._sending: threading.Thread | None = None

    def look(self, store: Store, name: str) -> None:
        """Look at a sweep, and tell the webhook if it has ended or stands still.

        That is done in a thread of its own, one at a time. Raises StorageError.
        """
        with suppress(InputError):
            if webhook.webhook_url() is None:
                return
            if self._sending and self._sending.is_alive():
                return
            status = store.status(name)
            event, why = self._event(status)
            # Of what came to rest before anybody looked, only what somebody began to tell.
            if event and (name in self._moving or webhook.was_begun(store, status, event)):
                self._sending = threading.Thread(
                    target=_send,
                    args=(store.url, status, event, why),
                    name="sweeper-webhook",
                    daemon=True,
                )
                self._sending.start()

    def _event(self, status: SweepStatus) -> tuple[webhook.Event | None, str]:
        if status.finished:
            return "finished", ""
        if status.state == "failed":
            return "failed", ""
        alive = [worker for worker in status.workers if worker.alive]
        sign = status.done, status.probed, tuple((worker.id, worker.progress) for worker in alive)
        now = time.monotonic()
        seen, since = self._seen.get(status.name, (None, now))
        if seen != sign or status.state != "open" or status.waits:
            if alive or seen not in {None, sign}:
                self._moving.add(status.name)
            self._seen[status.name] = sign, now
            return None, ""
        if now - since < self._still_seconds:
            return None, ""
        claimed = sum(arm.claimed for arm in status.arms)
        minutes = f"nothing new for {(now - since) / 60:.0f} minutes"
        if not alive:
            return "stalled", f"no worker is at work: {minutes}"
        return "stalled", f"{minutes}, with {pluralize(claimed, 'trial')} in training"


def _send(url: str, status: SweepStatus, event: webhook.Event, why: str) -> None:
    store = Store(url, patience=RetryPolicy(2.0))
    try:
        with suppress(StorageError, InputError, UnknownSweepError):
            webhook.tell(store, status, event, error=why)
    finally:
        store.close()

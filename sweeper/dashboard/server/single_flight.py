"""Work that many ask for at the same time is done once."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Whoever asks while the work is under way gets its result, or its error."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._guard = threading.Lock()
        self._running: Future[T] | None = None

    def get(self, seconds: float) -> T:
        """Return the result. Raises TimeoutError after some seconds; the work itself goes on."""
        with self._guard:
            future = self._running
            if future is None:
                future = self._running = Future()
                # Not in the thread of who asks: it must be able to give up.
                try:
                    threading.Thread(target=self._do, args=(future,), daemon=True).start()
                except RuntimeError:  # no room for one more thread
                    self._running = None
                    raise
        return future.result(timeout=seconds)

    def _do(self, future: "Future[T]") -> None:
        try:
            result = self._work()
        except Exception as error:
            with self._guard:
                self._running = None
            future.set_exception(error)
        else:
            with self._guard:
                self._running = None
            future.set_result(result)

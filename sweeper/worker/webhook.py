"""Webhook: one JSON POST when a sweep is finished, has failed or stands still.

Its address may hold a secret, and is never shown. Who ends a sweep sends it: `run`, a worker of its
own, or the dashboard, which also sends what others could not. A turn in the storage keeps others
away while one sends, and another one says that it was sent: killed in between, it is sent again,
with the same `id`.
"""

import http.client
import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from sweeper import __version__
from sweeper.errors import InputError, SweeperError
from sweeper.redact import hide_passwords, visible
from sweeper.search.note_texts import fronts_page
from sweeper.settings import WEBHOOK_VARIABLE, dashboard_url
from sweeper.store import Store
from sweeper.types import SweepStatus

_log = logging.getLogger("sweeper.webhook")
Event = Literal["finished", "failed", "stalled"]
TIMEOUT = 10.0
"""Seconds for an answer."""
WAITS = (0.0, 1.0, 4.0)
"""Seconds before each try."""
SENDING_SECONDS = 60.0
"""In which nobody else tries: more than all tries take."""
_EVER = 1e10
"""Seconds after which something would be sent again: never."""


def webhook_url() -> str | None:
    """Return the address that SWEEPER_WEBHOOK says, if there is one. Raises InputError.

    The error does not show it.
    """
    url = os.environ.get(WEBHOOK_VARIABLE, "").strip()
    if not url:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise InputError(f"{WEBHOOK_VARIABLE}: must be an address of http:// or https://")
    return url


def tell_end(
    store: Store, name: str, on_event: Callable[[str], None] | None = None, *, anew: bool = True
) -> None:
    """Tell that a sweep is finished or has failed, if it is so and was not told; never raises.

    Unless it came to that `anew`, only what somebody has begun to tell.
    """
    try:
        if webhook_url() is None:
            return
        status = store.status(name)
        if status.finished or status.state == "failed":
            event: Event = "finished" if status.finished else "failed"
            if anew or was_begun(store, status, event):
                tell(store, status, event, on_event)
    except SweeperError as error:
        (on_event or _log.warning)(f"webhook: {error}")


def was_begun(store: Store, status: SweepStatus, event: Event) -> bool:
    """Tell whether somebody has begun to tell this event of this state, sent or not."""
    return not store.is_due(status.name, _turn(status, event), _EVER)


def tell(
    store: Store,
    status: SweepStatus,
    event: Event,
    on_event: Callable[[str], None] | None = None,
    *,
    error: str = "",
) -> bool:
    """Send an event once for each state of a sweep; return True if it was sent here and now.

    A hook that does not take it in three tries is given up, which is said in one line. Raises
    StorageError, InputError for an address that is none.
    """
    url = webhook_url()
    turn = _turn(status, event)
    if url is None or not store.is_due(status.name, f"{turn} sent", _EVER):
        return False
    if not store.try_throttle(status.name, turn, SENDING_SECONDS):
        return False
    fault = _send(url, _message(store, status, event, error or status.error))
    store.try_throttle(status.name, f"{turn} sent", _EVER)
    if fault:
        line = f"webhook: {event} was not taken in {len(WAITS)} tries: {fault}"
        (on_event or _log.warning)(line)
    return not fault


def _turn(status: SweepStatus, event: Event) -> str:
    """Return the turn of whoever sends. A sweep that was extended or tried again has another."""
    return f"hook {event} {sum(status.failures.values()) if event == 'failed' else status.done}"


def _message(store: Store, status: SweepStatus, event: Event, error: str) -> dict[str, Any]:
    from sweeper.reports.summary import arm_rows  # reads figures' code, which takes a while

    record = store.sweep_record(status.name)
    sweep = record.sweep
    rows = arm_rows(record, sweep.sparsification.track)
    address = None
    with suppress(InputError):  # whoever starts a dashboard is told
        address = dashboard_url()
    return {
        "event": event,
        "id": f"{store.identity(status.name)} {_turn(status, event)}",
        "sweep": status.name,
        "done": status.done,
        "budget": status.budget,
        "front": {
            row.arm: {
                f"{sweep.size_key}_at_{target:g}": point.nonzero if point else None
                for target, point in zip(sweep.targets.accuracy, row.at_accuracy, strict=True)
            }
            for row in rows
        },
        "page": f"{address.rstrip('/')}{fronts_page(sweep)}" if address else None,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "sweeper": __version__,
        "error": visible(hide_passwords(error)) or None,
    }


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Whoever answers with another address is not followed: it may be anybody's."""

    def redirect_request(self, *request: Any) -> None:
        """Return none, by which the answer is an error."""


def _send(url: str, message: dict[str, Any]) -> str:
    """Send a message; return why it was not taken, '' if it was. The text has no address."""
    body = json.dumps(message).encode()
    headers = {"Content-Type": "application/json", "User-Agent": f"sweeper/{__version__}"}
    opener = urllib.request.build_opener(_NoRedirects)
    fault = ""
    for seconds in WAITS:
        time.sleep(seconds)
        request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310  # checked
        try:
            with opener.open(request, timeout=TIMEOUT):
                return ""
        except urllib.error.HTTPError as error:
            fault = f"answered {error.code}"
            error.close()
        except (OSError, ValueError, http.client.HTTPException) as error:
            fault = _reason(error)
    return fault


def _reason(error: Exception) -> str:
    """Return the kind of an error alone, for its text may quote the address."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return f"no answer within {TIMEOUT:.0f} s"
    text = cause.strerror if isinstance(cause, OSError) else None
    return text or type(cause).__name__

"""Addresses of the pages of trials."""

from urllib.parse import quote

from sweeper.types import Place


def trial_page(sweep: str, place: Place) -> str:
    """Return the path of the page of a trial.

    >>> trial_page("mine/confirmed", ("l1", 0, 3))
    '/sweeps/mine/confirmed/l1/0/3'
    """
    arm, repeat, slot = place
    return f"/sweeps/{quote(sweep)}/{quote(arm, safe='')}/{repeat}/{slot}"

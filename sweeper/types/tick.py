"""Tick of a training: the callback before each piece of its work, which may raise to end it."""

from typing import Protocol


class Tick(Protocol):
    """Called before each step and each piece of judging, with the share of all work done so far.

    A function that trains may call it without the share: each call then counts as a step.
    """

    def __call__(self, share: float | None = None, /) -> None: ...


def nothing(share: float | None = None, /) -> None:
    """The tick that does nothing."""


def tick_of_part(tick: Tick, before: int, part: int, whole: int) -> Tick:
    """Return the tick of `part` of `whole` trials, `before` of which are trained already."""

    def of_part(share: float | None = None, /) -> None:
        tick(None if share is None else (before + share * part) / whole)

    return of_part

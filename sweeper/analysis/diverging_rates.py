"""Diverging learning rates: the end of a searched range beyond which no training held."""

from collections.abc import Iterable

from sweeper.config import Sweep
from sweeper.config.domains import Domain, values
from sweeper.types import Place, TrialRecord

FEWEST_DIVERGED = 3
"""Trials above every rate that held, from which on it is said: fewer may be bad luck."""


def diverging_rates(sweep: Sweep, records: Iterable[TrialRecord]) -> str:
    """Return a sentence on the learning rates above which all trials diverged; empty without any.

    A trial of several networks held if one of them did.
    """
    domain = sweep.training.learning_rate
    if sweep.script is not None or not isinstance(domain, Domain):
        return ""
    held: dict[Place, tuple[float, bool]] = {}
    for record in records:
        place = record.slot.place
        _, before = held.get(place, (0.0, False))
        held[place] = record.config.learning_rate, before or record.result.state != "diverged"
    highest = max((rate for rate, good in held.values() if good), default=0.0)
    above = sum(rate > highest for rate, _ in held.values())
    if not highest or above < FEWEST_DIVERGED:
        return ""
    end = max(map(float, values(domain)))
    return (
        f"All {above:,} trials with a learning rate above {highest:.3g} diverged: "
        f"training.learning_rate, searched up to {end:g}, may end there."
    )

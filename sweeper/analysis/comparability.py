"""Comparability of arms: reasons not to rank them, and caveats that leave them ranked."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from sweeper.analysis import reproducibility
from sweeper.analysis.diverging_rates import diverging_rates
from sweeper.config import Sweep
from sweeper.types import Provenance, ReproducibilityCheck, TrialRecord


def comparability_problems(
    sweep: Sweep,
    records: Sequence[TrialRecord],
    checks: Sequence[ReproducibilityCheck] = (),
    confirmed: Sequence[TrialRecord] = (),
    *,
    dropped: Sequence[TrialRecord] = (),
) -> tuple[str, ...]:
    """Return the reasons why these arms must not be ranked, as sentences.

    `checks` are the trials of other machines that were trained again, `confirmed` are the records
    of the confirmation. What was `dropped` was searched as all else: arms had equal budgets.
    """
    problems = []
    done = Counter(dict.fromkeys(sweep.arms, 0))
    every = (*records, *dropped)
    done.update(record.slot.arm for record in every if record.network == 0)  # each slot's first
    if len(set(done.values())) > 1:
        counts = ", ".join(f"{arm} {count}" for arm, count in done.items())
        problems.append(f"The arms have unequal numbers of finished trials: {counts}.")
    hashes = _distinct([*records, *confirmed], lambda origin: origin.data_hash[:12])
    if len(hashes) > 1:
        problems.append(f"Trials saw different data; the data hashes are {', '.join(hashes)}.")
    return (
        *problems,
        *reproducibility.platform_problems(records, checks, sweep.name, confirmed),
    )


def comparability_caveats(
    sweep: Sweep,
    records: Sequence[TrialRecord],
    checks: Sequence[ReproducibilityCheck] = (),
    confirmed: Sequence[TrialRecord] = (),
) -> tuple[str, ...]:
    """Return the sentences that a reader should know before the numbers.

    `confirmed` are the records of the confirmation.
    """
    caveats = []
    if sweep.select_on == "test":
        caveats.append(
            f"This study selects on TEST {sweep.measure_label} (select_on: test), as parts of the "
            "literature do: its figures are too good, since the best were picked on the very "
            "examples that they are quoted on."
        )
    if rates := diverging_rates(sweep, records):
        caveats.append(rates)
    # Most commits change nothing of a trial: said, but no reason not to rank.
    commits = _distinct([*records, *confirmed], lambda origin: origin.git_commit)
    if len(commits) > 1:
        names = ", ".join(commit or "unknown" for commit in commits)
        caveats.append(f"Trials come from different commits: {names}.")
    return (*caveats, *reproducibility.deviation_caveats(records, checks, confirmed))


def _distinct(records: Iterable[TrialRecord], value: Callable[[Provenance], str]) -> list[str]:
    """Return the different values that the provenance of records has, in order."""
    return sorted({value(origin) for origin in reproducibility.origins(records)})

"""Comparability of sweeps: what forbids to draw their fronts in one figure, and what is unequal.

Fronts of other data, of another measure or selected on other examples answer other questions.
What is unequal otherwise is said, and such sweeps are shown side by side, never ranked.
"""

import json
from collections.abc import Mapping, Sequence

from sweeper.analysis.reproducibility import Platform
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.config import Sweep, is_confirmation
from sweeper.config.sweep_difference import differences
from sweeper.errors import InputError, choices, pluralize

MOST_SWEEPS = 8
"""In one figure; of more nobody tells the lines apart."""
MOST_SENTENCES = 12
"""About unequal keys; how many more there are is said in one."""
_EXPECTED = ("name", "seed", "arms", "targets", "reference", "compare", "time_limit", "resources")
"""Keys that say what is compared, how it is shown, and where a script runs."""


def refuse_wrong_number(names: Sequence[str]) -> None:
    """Raise InputError unless as many sweeps are named as one figure holds, once each."""
    if not 1 <= len(names) <= MOST_SWEEPS:
        raise InputError(f"compare: takes 1 to {MOST_SWEEPS} sweeps, got {len(names)}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"compare: {twice[0]} is named twice")


def refuse_other_questions(sweeps: Sequence[Sweep]) -> None:
    """Raise InputError unless fronts of these sweeps may stand in one figure."""
    names = [sweep.name for sweep in sweeps]
    refuse_wrong_number(names)
    if again := [name for name in names if is_confirmation(name)]:
        raise InputError(
            f"{again[0]}: is a confirmation; compare takes the search, of its own name"
        )
    for key, told in (
        ("dataset", [_dataset(sweep) for sweep in sweeps]),
        ("measure", [s.measure if s.script is None else s.measure_key for s in sweeps]),
        ("size", [sweep.size_key for sweep in sweeps]),
        ("select_on", [sweep.select_on for sweep in sweeps]),
    ):
        if len(set(told)) > 1:
            values = _by_value(dict(zip(names, told, strict=True)))
            raise InputError(
                f"{', '.join(names)}: {key}: must be the same in one figure, got {values}"
            )


def named_arms(sweeps: Sequence[Sweep], arms: Sequence[str]) -> frozenset[str]:
    """Return the arms that are named, as `sweep/arm`; all without any name."""
    everything = [f"{sweep.name}/{arm}" for sweep in sweeps for arm in sweep.arms]
    chosen: set[str] = set()
    for arm in arms:
        named = {name for name in everything if arm in (name, name.partition("/")[2])}
        if not named:
            known = everything if "/" in arm else {name.partition("/")[2] for name in everything}
            raise InputError(f"arms: no such arm: {choices(arm, known)}")
        chosen |= named
    return frozenset(chosen or everything)


def unequal_keys(sweeps: Sequence[Sweep]) -> dict[str, dict[str, str]]:
    """Return the keys of study files that differ, each with its value in every sweep.

    Keys that only say what is compared, such as the arms, are left out.
    """
    first, *others = sweeps
    unequal: dict[str, dict[str, str]] = {}
    for other in others:
        for difference in differences(first, other):
            if difference.path.partition(".")[0] in _EXPECTED:
                continue
            same = dict.fromkeys((sweep.name for sweep in sweeps), difference.old)
            unequal.setdefault(difference.path, same)[other.name] = difference.new
    return unequal


def inequalities(records: Sequence[SweepRecord]) -> tuple[str, ...]:
    """Return what is unequal between sweeps, as sentences: none of them may be ranked then."""
    unequal = unequal_keys([record.sweep for record in records])
    sentences = [f"{key} is {_by_value(values)}." for key, values in unequal.items()]
    if len(sentences) > MOST_SENTENCES:
        more = len(sentences) - MOST_SENTENCES
        sentences = [*sentences[:MOST_SENTENCES], f"{more} more keys differ."]
    for record in records:
        status, name = record.status, record.sweep.name
        if not status.finished:
            sentences.append(
                f"{name} has {status.done:,} of {pluralize(status.budget, 'trial')} so far."
            )
        else:
            sentences += [f"{name}: {problem}" for problem in record.problems]
    origins = {trial.provenance for record in records for trial in record.records}
    split = any(key.partition(".")[0] == "split" for key in unequal)
    if len({origin.data_hash for origin in origins}) > 1 and not split:
        sentences.append("Their trials saw different data.")
    platforms = {str(Platform.of(origin)) for origin in origins}
    if len(platforms) > 1:
        sentences.append(
            f"They were trained on different machines: {'; '.join(sorted(platforms))}."
        )
    return tuple(sentences)


def _by_value(values: Mapping[str, str]) -> str:
    """Return values with the sweeps that have them, such as `10 in a, 20 in b and c`."""
    having: dict[str, list[str]] = {}
    for name, value in values.items():
        having.setdefault(value, []).append(name)
    return ", ".join(f"{value} in {' and '.join(names)}" for value, names in having.items())


def _dataset(sweep: Sweep) -> str:
    """Return the dataset with its options as a study file has it."""
    return json.dumps(sweep.dataset.model_dump(mode="json")).strip('"')

"""Pooled study: all networks of a sweep in its own study, where the arm is a parameter.

There Optuna's plots set the arms side by side. Samplers never read it: each arm and repeat has a
study of its own, from which this one is filled. What counts is on record, and says what is lacking
here: so it is whole again after a crash, a restore or an extension.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from optuna.distributions import CategoricalDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.config import Sweep
from sweeper.search.objectives import OUTCOME, tell_arguments
from sweeper.search.optuna_pooled import (
    ARM,
    NETWORK,
    PooledNetworks,
    look,
    mark_dropped,
    pool_trials,
)
from sweeper.search.samplers import Space
from sweeper.types import DroppedTrial, TrialRecord

AT_ONCE = 256
"""Networks in one transaction: the study is locked meanwhile."""
_ATTRIBUTES = ("effective_nonzero", OUTCOME)
"""What is told of a network here, beside its test measure. The dashboard sends all attributes of
all trials, and the trial in the study of its arm has the others."""


class PooledStudy:
    """The own study of a sweep, as one process fills it. It remembers what is there."""

    def __init__(self) -> None:
        self._present: dict[str, PooledNetworks] = {}
        self._dropped: dict[str, Mapping[str, str]] = {}
        """What trials were last made to say, by the marks of studies."""

    def fill(
        self,
        storage: RDBStorage,
        study: int,
        mark: str,
        sweep: Sweep,
        records: Sequence[TrialRecord],
        dropped: Sequence[DroppedTrial],
        space: Callable[[str], Space],
    ) -> None:
        """Create trials of the records that a study lacks, oldest first.

        `records` are all, those that were `dropped` among them, which say so. `space` is that of
        an arm, with ranges in place of `auto`. Raises KeyError as `guard` does.
        """
        present = self._present.setdefault(mark, PooledNetworks())
        look(storage, study, present)
        lacking = [record for record in records if network_name(record) not in present.names]
        lacking.sort(key=lambda record: (record.recorded_at, record.place))
        spaces = {arm: space(arm) for arm in {record.slot.arm for record in lacking}}
        for start in range(0, len(lacking), AT_ONCE):
            some = {network_name(record): record for record in lacking[start : start + AT_ONCE]}

            def templates(
                names: Collection[str],
                arms: tuple[str, ...],
                some: Mapping[str, TrialRecord] = some,
            ) -> list[FrozenTrial]:
                return [_template(sweep, some[name], arms, spaces) for name in names]

            pool_trials(storage, study, mark, present, [*some], list(sweep.arms), templates)
        reasons = {_name(*place): trial.why for trial in dropped for place in trial.places}
        # Looked for once where nothing is dropped: another process may have taken it back.
        if reasons or self._dropped.get(mark) != reasons:
            by_name = {network_name(record): record for record in records}

            def outcome(name: str) -> tuple[TrialState, tuple[float, ...]]:
                state, values, _ = tell_arguments(sweep, by_name[name].result)
                return state, values or ()

            mark_dropped(storage, study, mark, reasons, outcome)
            self._dropped[mark] = reasons


def network_name(record: TrialRecord) -> str:
    """Return the name of a network within its sweep, as pages have it: `l1/0/17`.

    Of several of a slot all but the first have their number behind it: `l1/0/17/3`.
    """
    return _name(*record.place)


def _name(arm: str, repeat: int, slot: int, network: int) -> str:
    return f"{arm}/{repeat}/{slot}" + (f"/{network}" if network else "")


def _template(
    sweep: Sweep, record: TrialRecord, arms: tuple[str, ...], spaces: Mapping[str, Space]
) -> FrozenTrial:
    arm = record.slot.arm
    shared = sweep.shared_domains().keys() - sweep.arms[arm].parameters.keys()
    # A strength of one arm is not a strength of another: Optuna would draw them on one axis.
    names = {name: name if name in shared else f"{arm}.{name}" for name in record.params}
    state, values, measured = tell_arguments(sweep, record.result)
    attributes: dict[str, object] = {NETWORK: network_name(record)}
    if sweep.rungs > 1:
        attributes["density"] = record.config.density
    quality = f"_{sweep.measure_key}"
    attributes |= {
        key: value
        for key, value in measured.items()
        if key in _ATTRIBUTES or key in (f"test{quality}", f"val{quality}")
    }
    trial = create_trial(
        state=state,
        values=values,
        params={ARM: arm, **{names[name]: value for name, value in record.params.items()}},
        distributions={
            ARM: CategoricalDistribution(arms),
            **{names[name]: spaces[arm][name] for name in record.params},
        },
        user_attrs=attributes,
    )
    result = record.result
    seconds = result.seconds * result.pack * (sweep.rungs if sweep.script is None else 1)
    trial.datetime_start = _local_time(record.recorded_at - seconds)
    trial.datetime_complete = _local_time(record.recorded_at)
    return trial


def _local_time(seconds: float) -> datetime | None:
    """Return a time as Optuna has it; None for one that no calendar has, as an export may hold."""
    try:
        time = datetime.fromtimestamp(seconds)
    except (OSError, OverflowError, ValueError):
        return None
    # The database keeps it in UTC, which must be within the calendar too.
    return time if 1 < time.year < 9999 else None

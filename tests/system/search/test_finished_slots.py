"""What samplers learn from is what Optuna's public API shows, however often it was read before."""

import optuna
from optuna.trial import TrialState

from support.fakes import fake_result, ladder_sweep, optuna_storage, optuna_study
from sweeper import lifecycle
from sweeper.config import Sweep
from sweeper.search import SweepStudies
from sweeper.search.finished_slots import FinishedSlots
from sweeper.search.observations import FinishedSlot
from sweeper.store import Store
from sweeper.types import Slot

STUDY = "tiny/l1/0"


def sweep_of(*, rate: list[float] | None = None) -> Sweep:
    # Some rates diverge and some collapse: those trials have an outcome.
    training = {"epochs": 1, "learning_rate": {"log_uniform": rate or [0.05, 0.25]}}
    return ladder_sweep(search={"trials": 9, "in_flight": 3}, training=training)


def slots(*numbers: int) -> list[Slot]:
    return [Slot("tiny", "l1", 0, number, STUDY) for number in numbers]


def ask_and_tell(search: SweepStudies, *numbers: int) -> None:
    asked = search.ask(slots(*numbers))
    search.tell(
        [
            (STUDY, task.trial, fake_result(task.config))
            for tasks in asked.values()
            for task in tasks
        ]
    )


def by_optuna(url: str) -> list[FinishedSlot]:
    """Oracle: the trials of the study by Optuna's own API, read afresh."""
    of_slot: dict[int, list[optuna.trial.FrozenTrial]] = {}
    for trial in optuna_study(url, STUDY).trials:
        is_told = trial.state == TrialState.COMPLETE or "outcome" in trial.user_attrs
        if is_told and "slot" in trial.user_attrs:
            of_slot.setdefault(trial.user_attrs["slot"], []).append(trial)
    return [
        FinishedSlot(
            slot,
            trials[0].params,
            tuple((t.values[0], t.values[1]) if t.values else None for t in trials),
        )
        for slot, trials in of_slot.items()
    ]


def read(finished: FinishedSlots, search: SweepStudies) -> list[FinishedSlot]:
    return finished.read(search._backend, search._index.id(STUDY))


def test_slots_are_those_of_optunas_api_whenever_they_are_read(store: Store) -> None:
    sweep = sweep_of()
    lifecycle.register(store, sweep)
    with lifecycle.open_studies(store, sweep) as search:
        finished = FinishedSlots()
        assert read(finished, search) == []
        early = search.ask(slots(0))[slots(0)[0]]
        assert read(finished, search) == []
        search.fail(STUDY, [task.trial for task in search.ask(slots(5))[slots(5)[0]]])
        optuna_study(store.url, STUDY).enqueue_trial({"strength": 0.01})  # somebody's, of no slot
        ask_and_tell(search, 1, 2)
        assert read(finished, search) == by_optuna(store.url)
        # Asked before, told after others that were read.
        search.tell([(STUDY, task.trial, fake_result(task.config)) for task in early])
        ask_and_tell(search, 3)
        told = sorted(by_optuna(store.url), key=lambda slot: slot.slot)
        assert sorted(read(finished, search), key=lambda slot: slot.slot) == told
        assert sorted(read(FinishedSlots(), search), key=lambda slot: slot.slot) == told
        assert [slot.slot for slot in told] == [0, 1, 2, 3]
        values = [value for slot in told for value in slot.values]
        assert len(values) == 4 * 6
        assert None in values
        assert any(values)


def test_a_study_that_was_made_again_is_read_again(store: Store) -> None:
    sweep = sweep_of(rate=[0.02, 0.1])
    lifecycle.register(store, sweep)
    with lifecycle.open_studies(store, sweep) as search:
        ask_and_tell(search, 0, 1)
        finished, study = FinishedSlots(), search._index.id(STUDY)
        assert len(finished.read(search._backend, study)) == 2
        optuna.delete_study(study_name=STUDY, storage=optuna_storage(store.url))
        assert finished.read(search._backend, study) == []
    with lifecycle.open_studies(store, sweep) as search:
        search.create()
        ask_and_tell(search, 2)
        assert read(finished, search) == by_optuna(store.url)


def test_what_a_trial_says_already_is_told_anew(store: Store) -> None:
    sweep = sweep_of(rate=[0.02, 0.1])
    lifecycle.register(store, sweep)
    with lifecycle.open_studies(store, sweep) as search:
        first, second = search.ask(slots(0, 1)).values()
        storage = optuna_storage(store.url)
        study = optuna_study(store.url, STUDY)
        for number, key in ((first[0].trial, "seconds"), (second[1].trial, "mine")):
            id_ = study.trials[number]._trial_id
            storage.set_trial_user_attr(id_, key, "before")
        search.tell([(STUDY, t.trial, fake_result(t.config)) for t in (*first, *second)])
        trials = optuna_study(store.url, STUDY).trials
        assert {trial.user_attrs["seconds"] for trial in trials} == {0.5}
        assert trials[second[1].trial].user_attrs["mine"] == "before"
        assert None not in [trial.duration for trial in trials]
        assert all(trial.duration.total_seconds() >= 0 for trial in trials if trial.duration)

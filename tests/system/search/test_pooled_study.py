"""A sweep's own study holds all of its networks, each once, as any user of Optuna reads them."""

import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState
from sqlalchemy import create_engine, text

from support.databases import on_sqlite
from support.fakes import (
    auto_sweep,
    fake_probe,
    fake_train,
    ladder_sweep,
    optuna_study,
    small_sweep,
)
from support.worker_processes import assert_pooled, facts
from sweeper import lifecycle
from sweeper.analysis.confirmation import confirmation_sweep
from sweeper.config import Sweep
from sweeper.search import SweepStudies, optuna_pooled, pooled_study
from sweeper.search.optuna_rows import insert_trials
from sweeper.search.pooled_study import network_name
from sweeper.store import NamedTrial, Store
from sweeper.types import TrialRecord
from sweeper.worker.worker_loop import work


@pytest.fixture
def other_store(tmp_path: Path, upgraded_file: Path) -> Iterator[Store]:
    shutil.copy(upgraded_file, tmp_path / "other.db")
    with closing(Store(f"sqlite:///{tmp_path / 'other.db'}")) as opened:
        yield opened


def worked(store: Store, sweep: Sweep) -> Sweep:
    lifecycle.register(store, sweep)
    work(sweep.name, store, pack=8, train=fake_train, probe=fake_probe)
    return sweep


def trials(store: Store, name: str = "tiny") -> list[optuna.trial.FrozenTrial]:
    return optuna_study(store.url, name).trials


def by_name(store: Store, name: str = "tiny") -> dict[str, TrialRecord]:
    return {network_name(record): record for record in store.records(name)}


@pytest.mark.parametrize("sweep", [small_sweep(), ladder_sweep()], ids=["one", "ladder"])
def test_all_networks_of_all_arms_stand_in_the_own_study(store: Store, sweep: Sweep) -> None:
    worked(store, sweep)
    assert_pooled(store, sweep)
    records = by_name(store)
    for trial in trials(store):
        record = records[trial.user_attrs["network"]]
        arm = record.slot.arm
        # What all arms search has its name; what one arm does, that of the arm before it.
        shared = {"learning_rate", "density"}
        expected = {key if key in shared else f"{arm}.{key}": v for key, v in record.params.items()}
        assert trial.params == {"arm": arm, **expected}
        judged = record.result.pruned
        if record.result.state == "complete" and judged:
            assert trial.state == TrialState.COMPLETE
            assert trial.values == [judged.nonzero, judged.val_accuracy]
            assert trial.user_attrs["test_accuracy"] == judged.test_accuracy
        else:
            assert trial.state == TrialState.FAIL
            assert trial.user_attrs["outcome"] == record.result.state
        if sweep.rungs > 1:
            assert trial.user_attrs["density"] == record.config.density
        assert trial.datetime_start
        assert trial.datetime_complete
        assert trial.datetime_complete.timestamp() == pytest.approx(record.recorded_at, abs=1.0)
        assert trial.datetime_start <= trial.datetime_complete


@on_sqlite
def test_optunas_plots_have_what_they_need(store: Store) -> None:
    sweep = worked(store, small_sweep(search={"trials": 8}))
    study = optuna_study(store.url, "tiny")
    # Oracle: the non-dominated records.
    complete = {
        record.place: (record.result.pruned.nonzero, record.result.pruned.val_accuracy)
        for record in store.records("tiny")
        if record.result.state == "complete" and record.result.pruned
    }
    best = {
        place
        for place, (size, accuracy) in complete.items()
        if not any(
            s <= size and a >= accuracy and (s, a) != (size, accuracy) for s, a in complete.values()
        )
    }
    records = by_name(store)
    assert {records[t.user_attrs["network"]].place for t in study.best_trials} == best
    importances = get_param_importances(
        study,
        evaluator=FanovaImportanceEvaluator(n_trees=8, seed=0),
        target=lambda trial: trial.values[1],
    )
    assert "arm" in importances
    assert optuna.visualization.plot_pareto_front(study).data
    sizes = optuna.visualization.plot_parallel_coordinate(
        study,
        # As the dashboard does: those that all trials have.
        params=["arm", "learning_rate"],
        target=lambda trial: trial.values[0],
        target_name="nonzero",
    )
    assert sizes.data
    assert optuna.visualization.plot_timeline(study).data
    assert {*sweep.arms} == {t.params["arm"] for t in study.trials}


@on_sqlite
def test_further_arms_are_choices_of_earlier_trials_too(store: Store) -> None:
    sweep = worked(store, small_sweep())
    # Between the others, so that numbers of choices would shift.
    arms = {"first": {"penalty": "l2", "strength": 0.1}, **sweep.model_dump()["arms"]}
    arms = {**arms, "last": {"penalty": "l2", "strength": 0.2}}
    wider = small_sweep(arms=arms)
    assert lifecycle.register(store, wider, extend=True) == "extended"
    work("tiny", store, pack=2, train=fake_train)
    assert_pooled(store, wider)
    choices = {trial.distributions["arm"] for trial in trials(store)}
    assert len(choices) == 1
    assert {*choices.pop().choices} == {*wider.arms}  # type: ignore[attr-defined]


@on_sqlite
def test_ranges_that_a_probe_finds_are_those_of_the_parameters(store: Store) -> None:
    sweep = auto_sweep()
    lifecycle.register(store, sweep)
    work("tiny", store, pack=2, train=fake_train, probe=fake_probe)
    assert_pooled(store, sweep)


def test_a_confirmation_has_its_networks_in_its_own_study(store: Store) -> None:
    sweep = worked(store, small_sweep())
    records, ranges = store.records("tiny"), store.strength_ranges("tiny")
    plan = confirmation_sweep(sweep, store.status("tiny"), records, ranges, seeds=2)
    lifecycle.register(store, plan)
    work(plan.name, store, pack=2, train=fake_train)
    assert_pooled(store, plan)
    assert_pooled(store, sweep)


@on_sqlite
def test_what_is_restored_is_whole_at_once(store: Store, other_store: Store) -> None:
    sweep = worked(store, ladder_sweep())
    dump = store.dump("tiny")
    lifecycle.restore(other_store, dump)
    assert_pooled(other_store, sweep)
    lifecycle.restore(other_store, dump)
    assert_pooled(other_store, sweep)
    # Oracle: the study that was filled while the sweep ran.
    said = [
        {t.user_attrs["network"]: (t.params, t.values, t.state, t.user_attrs) for t in trials(s)}
        for s in (store, other_store)
    ]
    assert said[0] == said[1]


def test_a_study_that_was_deleted_is_filled_again(store: Store) -> None:
    sweep = worked(store, small_sweep())
    optuna.delete_study(study_name="tiny", storage=optuna_study(store.url, "tiny")._storage)
    lifecycle.register(store, sweep)
    lifecycle.publish(store, "tiny", force=True)
    assert_pooled(store, sweep)


@on_sqlite
def test_a_process_that_remembers_another_study_of_the_name_fills_the_new_one(
    store: Store,
) -> None:
    sweep = worked(store, small_sweep())
    with lifecycle.open_studies(store, sweep) as search:
        lifecycle.publish(store, "tiny", force=True, search=search)
        # SQLite gives the new study the number of the deleted one, and its trials theirs.
        with lifecycle.open_studies(store, sweep) as another:
            another.delete()
            another.create()
        lifecycle.publish(store, "tiny", force=True, search=search)
    assert_pooled(store, sweep)


def test_several_that_fill_it_at_once_bring_each_network_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooled_study, "AT_ONCE", 3)
    monkeypatch.setattr(SweepStudies, "pool", lambda *args: None)
    sweep = worked(store, small_sweep())
    assert trials(store) == []
    monkeypatch.undo()
    monkeypatch.setattr(pooled_study, "AT_ONCE", 3)
    records, start = store.records("tiny"), threading.Barrier(4)

    def slowly(*arguments: Any) -> Any:
        time.sleep(0.05)  # what was read as lacking would be brought by another meanwhile
        return insert_trials(*arguments)

    monkeypatch.setattr(optuna_pooled, "insert_trials", slowly)

    def fill(some: Sequence[TrialRecord]) -> None:
        with lifecycle.open_studies(store, sweep) as search:
            start.wait()
            search.pool(sweep, some)

    threads = [
        threading.Thread(target=fill, args=(some,))
        for some in (records, records[::-1], records[::2], records)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_pooled(store, sweep)


@on_sqlite
def test_what_samplers_are_told_does_not_come_from_it(
    store: Store, other_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = small_sweep(search={"trials": 9, "in_flight": 3})
    worked(store, sweep)
    monkeypatch.setattr(SweepStudies, "pool", lambda *args: None)
    worked(other_store, sweep)
    assert trials(other_store) == []
    assert facts(store) == facts(other_store)


@on_sqlite
def test_trials_that_an_older_version_told_pruned_are_observed_as_ever(store: Store) -> None:
    sweep = small_sweep(search={"trials": 12, "in_flight": 3})
    worked(store, sweep)
    study = optuna_study(store.url, "tiny/l1/0")._study_id
    with lifecycle.open_studies(store, sweep) as search:
        now = search._finished_slots(study)
    assert any(slot.values == (None,) for slot in now)
    engine = create_engine(store.url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE trials SET state = 'PRUNED' WHERE state = 'FAIL'"))
    engine.dispose()
    with lifecycle.open_studies(store, sweep) as search:
        assert search._finished_slots(study) == now


def test_a_dropped_network_is_in_no_plot_until_it_counts_again(
    store: Store, other_store: Store
) -> None:
    worked(store, ladder_sweep())
    best = optuna_study(store.url, "tiny").best_trials[0]
    name = best.user_attrs["network"]
    arm, repeat, slot, *network = name.split("/")
    named = NamedTrial((arm, int(repeat), int(slot)), (int(*network or ["0"]),))
    before = trials(store)
    store.interventions.drop("tiny", [named], "its data were mislabelled")
    lifecycle.publish(store, "tiny", force=True)
    assert_pooled(store, ladder_sweep())
    dropped = trials(store)[best.number]
    assert (dropped.state, dropped.values) == (TrialState.FAIL, None)
    assert dropped.user_attrs["dropped"] == "its data were mislabelled"
    others = [trial for trial in trials(store) if trial.number != best.number]
    assert others == [trial for trial in before if trial.number != best.number]
    # A restored sweep says it, too.
    lifecycle.restore(other_store, store.dump("tiny"))
    reasons = [trial.user_attrs.get("dropped") for trial in trials(other_store)]
    assert [reason for reason in reasons if reason] == ["its data were mislabelled"]
    store.interventions.take_back("tiny", [named])
    lifecycle.publish(store, "tiny", force=True)
    assert trials(store) == before

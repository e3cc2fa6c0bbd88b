"""Ladders and seeds: a slot brings several networks, recorded at once, each an Optuna trial."""

from collections import Counter
from contextlib import closing
from dataclasses import replace

import optuna
import pytest

from support.claimer import PROVENANCE
from support.fakes import (
    fake_result,
    fake_train,
    ladder_sweep,
    optuna_storage,
    optuna_study,
    small_sweep,
)
from support.worker_processes import assert_exact, assert_exact_records, facts
from sweeper import lifecycle
from sweeper.errors import StorageError
from sweeper.store import Store
from sweeper.types import TrialConfig, TrialOutcome, TrialResult, by_training
from sweeper.worker.worker_loop import work


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp", "random"])
def test_a_budget_of_trials_brings_as_many_trainings_with_all_their_networks(
    store: Store, sampler: str
) -> None:
    sweep = ladder_sweep(search={"trials": 4, "in_flight": 2, "sampler": sampler})
    lifecycle.register(store, sweep)
    packs: list[int] = []

    def train(configs: list[TrialConfig], *rest: object, **options: object) -> list[TrialResult]:
        packs.append(len(by_training(configs)))
        return fake_train(configs)

    assert work("tiny", store, pack=4, train=train) == 12  # type: ignore[arg-type]
    assert_exact_records(store, sweep)
    assert len(store.records("tiny")) == 12 * 2 * 3
    assert max(packs) <= 4
    assert sum(packs) == 12 * 2


def test_results_do_not_depend_on_packs_and_workers(sqlite_url: str, postgres_url: str) -> None:
    sweep = ladder_sweep(search={"trials": 4, "in_flight": 2})
    seen = []
    for url, pack in ((sqlite_url, 1), (postgres_url, 7)):
        with closing(Store(url)) as store:
            lifecycle.register(store, sweep)
            work("tiny", store, pack=pack, train=fake_train)
            seen.append(facts(store))
    assert seen[0] == seen[1]


def test_networks_of_a_slot_share_seed_by_seed_all_but_their_density(store: Store) -> None:
    sweep = ladder_sweep(search={"trials": 2, "in_flight": 2, "sampler": "random"})
    lifecycle.register(store, sweep)
    work("tiny", store, pack=4, train=fake_train)
    of_slot = [r for r in store.records("tiny") if r.slot.place == ("l1", 0, 1)]
    assert [record.network for record in of_slot] == [0, 1, 2, 3, 4, 5]
    assert [record.config.density for record in of_slot] == [0.2, 0.1, 0.05] * 2
    assert [record.trial for record in of_slot] == [of_slot[0].trial + n for n in range(6)]
    first, second = of_slot[0].config, of_slot[3].config
    assert first.init_seed != second.init_seed
    assert replace(first, init_seed=second.init_seed) == second
    # The first seed is that of a sweep without further ones; seeds are those of every arm.
    plain = small_sweep(search={"trials": 2, "in_flight": 2})
    params = {"density": 0.2, **of_slot[0].params}
    assert plain.config("l1", 0, 1, params).init_seed == first.init_seed
    of_dense = [r for r in store.records("tiny") if r.slot.place == ("dense", 0, 1)]
    assert [r.config.init_seed for r in of_dense] == [r.config.init_seed for r in of_slot]


def test_a_slot_is_recorded_with_all_of_its_networks_or_not_at_all(store: Store) -> None:
    sweep = ladder_sweep(search={"trials": 2, "in_flight": 2})
    lifecycle.register(store, sweep)
    worker = store.join("tiny", device="cpu")
    with lifecycle.open_studies(store, sweep) as search:
        slots = store.claim(worker, 2)
        asked = search.ask(slots)
        store.link(worker, {slot: tasks[0].trial for slot, tasks in asked.items()})
        outcomes = [
            TrialOutcome.of(task, fake_result(task.config), PROVENANCE)
            for tasks in asked.values()
            for task in tasks
        ]
        with pytest.raises(StorageError, match="is recorded with all of its networks, 6"):
            store.record(worker, outcomes[:-1])
        with pytest.raises(StorageError, match="is recorded with all of its networks, 6"):
            store.record(worker, [replace(outcomes[0], trial=99), *outcomes[1:]])
        assert store.records("tiny") == ()
        store.record(worker, outcomes)
        store.record(worker, outcomes)  # the answer got lost
        assert len(store.records("tiny")) == 12
        store.leave(worker)
        lifecycle.recover(store, "tiny", search)  # tells what is on record
    study = optuna_study(store.url, slots[0].study)
    assert Counter(trial.state.name for trial in study.trials)["RUNNING"] == 0


def test_the_stock_study_shows_every_network_and_which_it_is(store: Store) -> None:
    sweep = ladder_sweep(search={"trials": 2, "in_flight": 2})
    lifecycle.register(store, sweep)
    work("tiny", store, pack=2, train=fake_train)
    trials = optuna_study(store.url, "tiny/l1/0").trials
    assert len(trials) == 12
    for trial in trials:
        assert {"slot", "seed", "density", "strength"} <= trial.user_attrs.keys()
        assert trial.params.keys() == {"strength", "learning_rate"}
    assert_exact(store, sweep)


def test_who_deletes_the_study_in_the_dashboard_costs_no_network(store: Store) -> None:
    sweep = ladder_sweep(search={"trials": 4, "in_flight": 2}, arms={"dense": {}})
    lifecycle.register(store, sweep)
    worker = store.join("tiny", device="cpu")
    with lifecycle.open_studies(store, sweep) as search:
        slots = store.claim(worker, 1)
        search.ask(slots)
        store.release(worker, slots)
    store.leave(worker)
    work("tiny", store, pack=2, train=fake_train)
    assert_exact(store, sweep)
    optuna.delete_study(study_name="tiny/dense/0", storage=optuna_storage(store.url))
    longer = ladder_sweep(search={"trials": 6, "in_flight": 2}, arms={"dense": {}})
    lifecycle.register(store, longer, extend=True)
    work("tiny", store, pack=2, train=fake_train)
    records = store.records("tiny")
    assert len({(r.slot.study, r.trial) for r in records}) == len(records) == 36

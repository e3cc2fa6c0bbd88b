"""Enqueued configurations in training: each comes once, whoever dies."""

from collections.abc import Callable

import pytest

from support.databases import on_sqlite
from support.fakes import (
    auto_sweep,
    fake_probe,
    fake_train,
    ladder_sweep,
    optuna_study,
    small_sweep,
)
from support.worker_processes import (
    assert_exact_records,
    ended,
    facts,
    registered,
    worker_process,
    workers,
)
from sweeper import lifecycle
from sweeper.config import Sweep
from sweeper.store import Store
from sweeper.worker.worker_loop import work

WHOLE = {"strength": 0.001, "learning_rate": 0.05}
PART = {"strength": 0.002}


def enqueue(store: Store, repeats: int = 1) -> None:
    wanted = {("l1", repeat): [{**WHOLE, "density": 0.05}, PART] for repeat in range(repeats)}
    if store.sweep("tiny").rungs > 1:
        wanted = {place: [WHOLE, PART] for place in wanted}
    store.interventions.enqueue("tiny", wanted, "enqueued by hand")


def test_what_was_enqueued_is_tried_first_and_told_to_the_sampler(storage_url: str) -> None:
    sweep = small_sweep(sparsification={"density": {"log_uniform": [0.01, 0.5]}})
    store = registered(storage_url, sweep)
    enqueue(store)
    work("tiny", store, pack=4, train=fake_train)
    l1 = [record for record in store.records("tiny") if record.slot.arm == "l1"]
    assert l1[0].params == {**WHOLE, "density": 0.05}
    assert l1[1].params["strength"] == 0.002
    assert list(l1[1].params) == list(l1[2].params) == list(sweep.domains("l1"))
    trials = {t.user_attrs["slot"]: t for t in optuna_study(store.url, "tiny/l1/0").trials}
    marked = {n for n, trial in trials.items() if "enqueued" in trial.user_attrs}
    assert marked == {0, 1}
    assert trials[0].user_attrs["enqueued"] == "enqueued by hand"
    assert_exact_records(store, sweep)
    store.close()


@on_sqlite
@pytest.mark.parametrize("sampler", ["tpe", "qmc"])
def test_other_slots_of_the_generation_are_asked_as_without(storage_url: str, sampler: str) -> None:
    params = []
    for given in (False, True):
        sweep = small_sweep(f"tiny{given}", search={"sampler": sampler, "trials": 24})
        store = Store(storage_url)
        lifecycle.register(store, sweep)
        if given:
            store.interventions.enqueue(sweep.name, {("l1", 0): [WHOLE]}, "by hand")
        work(sweep.name, store, pack=4, train=fake_train)
        params.append([r.params for r in store.records(sweep.name) if r.slot.arm == "l1"])
        store.close()
    without, with_one = params
    assert with_one[0] == WHOLE != without[0]
    assert with_one[1:3] == without[1:3]  # of the same generation
    assert (with_one[3:] == without[3:]) is (sampler == "qmc")  # which does not learn


@on_sqlite
@pytest.mark.parametrize("make", [small_sweep, ladder_sweep])
def test_records_do_not_depend_on_the_number_of_workers(
    storage_url: str, make: Callable[[], Sweep], tmp_path_factory: pytest.TempPathFactory
) -> None:
    sweep, found = make(), []
    for count in (1, 3):
        url = f"sqlite:///{tmp_path_factory.mktemp('crew')}/sweeps.db"
        store = registered(url, sweep)
        store.interventions.enqueue("tiny", {("l1", 0): [WHOLE, PART]}, "by hand")
        with workers(url, count) as crew:
            ended(crew)
        found.append(facts(store))
        store.close()
    assert found[0] == found[1]


@pytest.mark.parametrize("death", ["after,claim", "before,link", "after,link", "before,record"])
def test_after_a_worker_is_killed_the_configuration_comes_all_the_same_and_once(
    storage_url: str, death: str
) -> None:
    sweep = small_sweep(arms={"l1": small_sweep().model_dump(mode="json")["arms"]["l1"]})
    store = registered(storage_url, sweep)
    store.interventions.enqueue("tiny", {("l1", 0): [WHOLE]}, "by hand")
    with worker_process(storage_url, "--lease", "2", "--die", death) as process:
        process.wait(120)
        assert process.returncode == -9
    assert store.records("tiny") == ()
    with workers(storage_url, 1) as crew:
        ended(crew)
    assert store.records("tiny")[0].params == WHOLE
    assert [r.params for r in store.records("tiny")].count(WHOLE) == 1
    assert_exact_records(store, sweep)
    store.close()


def test_a_strength_outside_of_the_range_that_is_found_moves_to_its_end(
    sqlite_store: Store,
) -> None:
    sweep = auto_sweep()
    lifecycle.register(sqlite_store, sweep)
    wanted = {("l1", 0): [{"strength": 1e9}, {"strength": 1e-12}, {"strength": 0.01}]}
    sqlite_store.interventions.enqueue("tiny", wanted, "by hand")
    work("tiny", sqlite_store, pack=4, train=fake_train, probe=fake_probe)
    found = sqlite_store.strength_ranges("tiny")[0].range
    strengths = [r.params["strength"] for r in sqlite_store.records("tiny") if r.slot.arm == "l1"]
    assert strengths[:3] == [found.high, found.low, 0.01]
    assert_exact_records(sqlite_store, sweep)

"""Workers whose Optuna studies are deleted, come late, or lie behind a store that refuses files."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.artifacts.exceptions import ArtifactNotFound

from support.databases import on_sqlite
from support.factories import make_provenance
from support.fakes import (
    fake_result,
    fake_train,
    optuna_storage,
    optuna_study,
    small_sweep,
    study_names,
)
from sweeper import lifecycle
from sweeper.config import Sweep
from sweeper.errors import StorageError, UnknownSweepError
from sweeper.search import SweepStudies, artifacts
from sweeper.store import Store
from sweeper.types import TrialConfig, TrialResult
from sweeper.worker.trial_storage import Pack, TrialStorage
from sweeper.worker.worker_loop import work

ONE = {"l1": {"penalty": "l1", "strength": {"log_uniform": [1e-4, 1e-1]}}}


def deleted(store: Store, name: str) -> None:
    optuna.delete_study(study_name=name, storage=optuna_storage(store.url))


def claimed(storage: TrialStorage, worker: str) -> Pack:
    found = storage.claim(worker, 3, "cpu", lambda: None)
    assert isinstance(found, tuple)
    return found


def results(pack: Pack) -> list[TrialResult]:
    return [fake_result(task.config, len(pack)) for task in pack]


def test_numbers_of_trials_in_training_are_not_given_out_again(store: Store) -> None:
    """A study that was deleted counts from 0 again, and others' packs are not on record yet."""
    sweep = small_sweep(search={"sampler": "random", "trials": 12}, arms=ONE)
    lifecycle.register(store, sweep)
    here, there = (store.join("tiny", device="cpu") for _ in range(2))
    origin, never = make_provenance(), threading.Event()
    with (
        TrialStorage.open(store, sweep, never) as one,
        TrialStorage.open(store, sweep, never) as other,
    ):
        first = claimed(one, here)
        one.record(here, first, results(first), origin)
        training = claimed(one, here)
        deleted(store, "tiny/l1/0")
        other.create()
        later = claimed(other, there)
        taken = {task.trial for task in (*first, *training)}
        assert taken.isdisjoint({task.trial for task in later})
        one.record(here, training, results(training), origin)
        other.record(there, later, results(later), origin)
    known = {trial.number: trial for trial in optuna_study(store.url, "tiny/l1/0").trials}
    assert len(store.records("tiny")) == 9
    for task in later:
        assert known[task.trial].user_attrs["slot"] == task.slot.number
        assert known[task.trial].state.name != "RUNNING"


def meanwhile(actions: Mapping[int, Callable[[], object]], delay: float = 0.0) -> Any:
    """Return a training that does something else first, by the number of its call."""
    calls = 0

    def train(configs: Sequence[TrialConfig], *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        actions.get(calls, lambda: None)()
        return fake_train(configs, *arguments, delay=delay, **options)

    return train


@pytest.mark.parametrize("name", ["tiny", "tiny/l1/0"])
@on_sqlite
def test_a_study_deleted_while_a_worker_trains_is_named_and_no_arm_is_to_blame(
    store: Store, name: str
) -> None:
    sweep = small_sweep(search={"sampler": "random", "trials": 40}, arms=ONE)
    lifecycle.register(store, sweep)
    train = meanwhile({2: lambda: deleted(store, name)}, delay=0.1)
    with pytest.raises(UnknownSweepError, match=f"^{name}: Optuna's study is gone; `sweeper run"):
        work("tiny", store, pack=2, train=train)
    (arm,) = store.status("tiny").arms
    assert "error" not in arm.failures
    lifecycle.register(store, sweep)
    work("tiny", store, pack=20, train=fake_train)
    assert len(store.records("tiny")) == 40


def test_studies_of_an_extension_are_there_before_its_slots(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that waits for slots looks for their studies at once."""
    lifecycle.register(store, small_sweep(arms=ONE))
    longer = small_sweep(arms={**ONE, "l2": {"penalty": "l2", "strength": 0.1}})
    register = Store.register

    def watched(self: Store, sweep: Sweep, **options: Any) -> Any:
        assert "tiny/l2/0" in study_names(store.url)
        return register(self, sweep, **options)

    monkeypatch.setattr(Store, "register", watched)
    assert lifecycle.register(store, longer, extend=True) == "extended"


@on_sqlite
def test_a_failure_in_a_repeat_that_was_added_meanwhile_is_forgiven(store: Store) -> None:
    small, longer = (
        small_sweep(search={"trials": 3, "repeats": repeats}, arms=ONE) for repeats in (1, 2)
    )
    lifecycle.register(store, small)

    def fail() -> None:
        raise ValueError("passes by itself")

    extend = lambda: lifecycle.register(store, longer, extend=True)  # noqa: E731
    work("tiny", store, pack=3, train=meanwhile({1: extend, 2: fail}))
    assert len(store.records("tiny")) == 6
    for study in longer.studies():
        states = {trial.state.name for trial in optuna_study(store.url, study).trials}
        assert "RUNNING" not in states


class Refusing:
    """An artifact store whose library has errors of its own."""

    def open_reader(self, artifact_id: str) -> object:
        raise ArtifactNotFound("nothing is kept here yet")

    def write(self, artifact_id: str, content_body: object) -> None:
        raise Denied("An error occurred (AccessDenied) when calling PutObject")


class Denied(Exception):
    pass


@on_sqlite
def test_a_bucket_that_refuses_is_an_error_of_the_storage(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = small_sweep(arms=ONE)
    lifecycle.register(store, sweep)
    worker = store.join("tiny", device="cpu")
    monkeypatch.setattr(
        "sweeper.search.trial_artifacts.artifact_store", lambda place, **_: Refusing()
    )
    said = r"^artifacts: Denied: An error occurred \(AccessDenied\) when calling PutObject$"
    with TrialStorage.open(store, sweep, threading.Event(), str(tmp_path)) as storage:
        pack = claimed(storage, worker)
        with pytest.raises(StorageError, match=said):
            storage.record(worker, pack, results(pack), make_provenance(), {0: b"network"})
    with pytest.raises(StorageError, match=said):
        artifacts.put(Refusing(), artifacts.Artifact("id", "n", "x/y", b"new"), "a/n")


@on_sqlite
def test_what_the_background_thread_cannot_do_is_not_booked_as_a_failure_of_training(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifecycle.register(store, small_sweep(arms=ONE))

    def broken(self: SweepStudies, *arguments: Any) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(SweepStudies, "publish", broken)
    with pytest.raises(RuntimeError, match="no such thing"):
        work("tiny", store, pack=2, train=meanwhile({}, delay=0.5))
    (arm,) = store.status("tiny").arms
    assert "error" not in arm.failures
    assert store.state("tiny") == "open"

"""Registering, mending, publishing and deleting, against real databases."""

import json
import subprocess
import sys
import threading

import optuna
import pytest

from support.databases import on_sqlite
from support.fakes import fake_train, optuna_storage, optuna_study, small_sweep, study_names
from sweeper import lifecycle
from sweeper.analysis import fronts
from sweeper.analysis.confirmation import confirmation_sweep
from sweeper.errors import DigestError, StorageError, UnknownSweepError
from sweeper.reports import optuna_note
from sweeper.search import SweepStudies
from sweeper.search.attributes import figure_chunks
from sweeper.store import Store
from sweeper.worker.worker_loop import work


def attributes(store: Store, name: str = "tiny") -> dict[str, object]:
    study = optuna_study(store.url, name)
    return study._storage.get_study_system_attrs(study._study_id)


def test_a_crash_between_sweep_and_studies_is_mended_by_registering_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def crash(self: SweepStudies) -> None:
            raise StorageError("gone")

        patch.setattr(SweepStudies, "create", crash)
        with pytest.raises(StorageError):
            lifecycle.register(store, small_sweep())
    assert lifecycle.register(store, small_sweep()) == "resumed"
    assert len(study_names(store.url)) == 4


def test_another_study_file_of_the_same_name_touches_no_study(store: Store) -> None:
    lifecycle.register(store, small_sweep())
    arms = {**small_sweep().model_dump()["arms"], "l2": {"penalty": "l2", "strength": 0.1}}
    with pytest.raises(DigestError):
        lifecycle.register(store, small_sweep(arms=arms, seed=3))
    assert len(study_names(store.url)) == 4
    assert lifecycle.register(store, small_sweep(arms=arms), extend=True) == "extended"
    assert "tiny/l2/0" in study_names(store.url)


def test_several_may_register_the_same_sweep_at_once(storage_url: str) -> None:
    outcomes: list[object] = []
    start = threading.Barrier(4)

    def register() -> None:
        store = Store(storage_url)
        try:
            start.wait()
            outcomes.append(lifecycle.register(store, small_sweep()))
        except BaseException as error:
            outcomes.append(error)
        store.close()

    threads = [threading.Thread(target=register) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == ["new", "resumed", "resumed", "resumed"]


@on_sqlite
def test_workers_publish_the_figure_and_the_note(store: Store) -> None:
    from sweeper.plots import overlay_figure

    sweep = small_sweep()
    lifecycle.register(store, sweep)
    work("tiny", store, train=fake_train)
    found = fronts(store.records("tiny"), sweep)
    figure = overlay_figure(found, sweep, small=True).to_json()
    published = attributes(store)
    assert figure_chunks(optuna_note.FRONTS, figure).items() <= published.items()
    assert len(json.loads(figure)["data"]) > 0
    note = str(published["dashboard:note_str:0"]).replace("\N{NO-BREAK SPACE}", "")
    assert "18 of 18 trials done" in note
    row = next(line for line in note.splitlines() if line.startswith("| l1 |"))
    best = max(point.val_accuracy for point in found["l1"].points)
    assert row.startswith("| l1 | 6 / 6 |")
    assert f"| {best:.2%} |" in row
    smallest = found["l1"].at(accuracy=0.97)
    assert (f"{smallest.nonzero:,}" if smallest else "not reached") in row


@on_sqlite
def test_a_sweep_without_results_has_a_note_too(store: Store) -> None:
    sweep = small_sweep(select_on="test")
    lifecycle.register(store, sweep)
    assert lifecycle.publish(store, "tiny", force=True)
    note = str(attributes(store)["dashboard:note_str:0"]).replace("\N{NO-BREAK SPACE}", "")
    assert "| dense | 0 / 6 | 0 | 0 | – | not reached |" in note
    assert "selected on test accuracy" in note


def test_publishing_takes_turns(store: Store) -> None:
    lifecycle.register(store, small_sweep())
    assert lifecycle.publish(store, "tiny", every=60)
    assert not lifecycle.publish(store, "tiny", every=60)
    assert lifecycle.publish(store, "tiny", force=True)


def figures(store: Store, name: str = "tiny") -> set[str]:
    return {key.split(":")[2] for key in attributes(store, name) if ":plot_data:" in key}


@on_sqlite
def test_a_confirmation_is_shown_in_the_study_of_its_search_until_it_is_deleted(
    store: Store,
) -> None:
    sweep = small_sweep(targets={"nonzero": [20_000, 100_000]})
    lifecycle.register(store, sweep)
    work("tiny", store, pack=8, train=fake_train)
    again = confirmation_sweep(sweep, store.status("tiny"), store.records("tiny"), seeds=2)
    lifecycle.register(store, again)
    assert optuna_note.CONFIRMED not in figures(store)
    work(again.name, store, pack=8, train=fake_train)
    assert figures(store, again.name) == {optuna_note.CONFIRMED}
    assert figures(store) >= {optuna_note.FRONTS, optuna_note.CONFIRMED}
    home = optuna_study(store.url, again.name)._study_id
    link = f"[tiny/confirmed](/dashboard/studies/{home})"
    assert link in str(attributes(store)["dashboard:note_str:0"])
    assert optuna_study(store.url, again.name).metric_names == ["nonzero", "test_accuracy"]
    lifecycle.delete(store, again.name)
    assert optuna_note.CONFIRMED not in figures(store)
    assert link not in str(attributes(store)["dashboard:note_str:0"])


@on_sqlite
def test_a_confirmation_goes_on_where_the_study_of_its_search_was_deleted(store: Store) -> None:
    sweep = small_sweep(targets={"nonzero": [20_000, 100_000]})
    lifecycle.register(store, sweep)
    work("tiny", store, pack=8, train=fake_train)
    again = confirmation_sweep(sweep, store.status("tiny"), store.records("tiny"), seeds=1)
    lifecycle.register(store, again)
    optuna.delete_study(study_name="tiny", storage=optuna_storage(store.url))
    assert lifecycle.publish(store, again.name, force=True)


@on_sqlite
def test_publishing_loads_no_torch(store: Store) -> None:
    lifecycle.register(store, small_sweep())
    work("tiny", store, train=fake_train)
    code = (
        "import sys; from sweeper import lifecycle; from sweeper.store import Store; "
        "assert lifecycle.publish(Store(sys.argv[1]), 'tiny', force=True); "
        "print('torch' in sys.modules, 'scipy' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, store.url], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["False", "False"]


def test_a_deleted_sweep_leaves_nothing_and_others_alone(store: Store) -> None:
    lifecycle.register(store, small_sweep())
    lifecycle.register(store, small_sweep("tin"))
    work("tiny", store, train=fake_train)
    lifecycle.delete(store, "tiny")
    assert store.names() == ("tin",)
    assert all(name.split("/")[0] == "tin" for name in study_names(store.url))
    with pytest.raises(UnknownSweepError):
        lifecycle.delete(store, "tiny")
    assert lifecycle.register(store, small_sweep()) == "new"

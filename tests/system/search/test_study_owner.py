"""A user's studies in the same storage: they are never touched, whatever their names.

A user's study is as any user of Optuna makes, changes and reads it.
"""

from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import optuna
import pytest

from support.database_edits import as_of_before, marks
from support.fakes import (
    fake_result,
    fake_train,
    one_arm,
    optuna_storage,
    optuna_study,
    small_sweep,
    study_names,
)
from sweeper import lifecycle
from sweeper.errors import InputError, StorageError, UnknownSweepError
from sweeper.search import SweepStudies, optuna_tables
from sweeper.search.artifacts import Artifact
from sweeper.store import Store
from sweeper.store.database import Database
from sweeper.store.storage_url import parse_storage_url
from sweeper.types import Slot
from sweeper.worker.worker_loop import work


def users_study(store: Store, name: str, **options: Any) -> Callable[[], object]:
    """Create a study as a user does; return what reads all of it."""
    options = options or {"direction": "maximize"}
    optuna_storage.cache_clear()  # its tables may have gone with those of another test
    study = optuna.create_study(storage=optuna_storage(store.url), study_name=name, **options)
    if "direction" in options:
        study._storage.set_study_system_attr(study._study_id, "study:metric_names", ["score"])
        study.set_user_attr("owner", "somebody")
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        running = study.ask()
        running.set_user_attr("slot of a machine", 3)

    def read() -> object:
        loaded = optuna_study(store.url, name)
        return loaded.directions, loaded.user_attrs, marks(store, name), repr(loaded.trials)

    return read


def deleted(store: Store, name: str) -> None:
    optuna.delete_study(study_name=name, storage=optuna_storage(store.url))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tiny", {}),
        ("tiny/l1/0", {}),
        ("tiny", {"directions": ["minimize", "maximize"]}),
        ("tiny/l1/0", {"directions": ["minimize", "maximize"]}),
    ],
)
def test_run_refuses_a_name_under_which_a_user_has_a_study(
    everywhere: Store, name: str, options: dict[str, Any]
) -> None:
    study = users_study(everywhere, name, **options)
    before = study()
    with pytest.raises(InputError, match=rf"^Optuna has a study .* make for it: '{name}'; give"):
        lifecycle.register(everywhere, one_arm())
    assert everywhere.names() == ()
    assert study_names(everywhere.url) == [name]
    assert study() == before


def test_restore_and_confirm_refuse_it_too(store: Store) -> None:
    sweep = one_arm(targets={"nonzero": [100_000]})
    lifecycle.register(store, sweep)
    work("tiny", store, pack=6, train=fake_train)
    dump = store.dump("tiny")
    confirmed = users_study(store, "tiny/l1/confirmed")
    from sweeper.analysis.confirmation import confirmation_sweep

    again = confirmation_sweep(sweep, store.status("tiny"), store.records("tiny"), seeds=1)
    with pytest.raises(InputError, match="'tiny/l1/confirmed'"):
        lifecycle.register(store, again)
    lifecycle.delete(store, "tiny")
    before, study = confirmed(), users_study(store, "tiny/l1/0")
    with pytest.raises(InputError, match="'tiny/l1/0'"):
        lifecycle.restore(store, dump)
    assert store.names() == ()
    deleted(store, "tiny/l1/0")
    lifecycle.restore(store, dump)
    deleted(store, "tiny")
    study = users_study(store, "tiny")
    theirs = study()
    with pytest.raises(InputError, match="'tiny'"):
        lifecycle.restore(store, dump)
    assert lifecycle.delete(store, "tiny") == ("tiny",)
    assert (study(), confirmed()) == (theirs, before)
    assert sorted(study_names(store.url)) == ["tiny", "tiny/l1/confirmed"]


def test_delete_leaves_what_a_user_made_in_the_place_of_ours(everywhere: Store) -> None:
    lifecycle.register(everywhere, one_arm())
    work("tiny", everywhere, pack=6, train=fake_train)
    deleted(everywhere, "tiny/l1/0")
    study = users_study(everywhere, "tiny/l1/0")
    before = study()
    with pytest.raises(InputError, match="'tiny/l1/0'"):
        lifecycle.register(everywhere, one_arm())
    assert lifecycle.delete(everywhere, "tiny") == ("tiny/l1/0",)
    assert study_names(everywhere.url) == ["tiny/l1/0"]
    assert study() == before
    assert everywhere.names() == ()


@pytest.mark.parametrize("known", [True, False])
def test_nothing_is_written_to_a_study_that_took_the_place_of_ours(
    everywhere: Store, known: bool, tmp_path: Any
) -> None:
    """SQLite gives out the numbers of deleted studies and trials again, names anybody does."""
    sweep = one_arm()
    lifecycle.register(everywhere, sweep)
    slots = [Slot("tiny", "l1", 0, number, "tiny/l1/0") for number in range(4)]
    with lifecycle.open_studies(everywhere, sweep) as search:
        search.artifacts.use(str(tmp_path))
        if known:  # in this process, as in one that has worked on it for long
            search.ask(slots[:3])
            search.ids(["tiny"])
        deleted(everywhere, "tiny/l1/0")
        deleted(everywhere, "tiny")
        home, arm = users_study(everywhere, "tiny"), users_study(everywhere, "tiny/l1/0")
        before = home(), arm()
        result = fake_result(sweep.config("l1", 0, 2, {"strength": 1e-3, "learning_rate": 0.05}))
        uses: list[Callable[[], object]] = [
            lambda: search.tell([("tiny/l1/0", 2, result)]),
            lambda: search.fail("tiny/l1/0", [2]),
            lambda: search.artifacts.save("tiny/l1/0", 2, "a.safetensors", b"x"),
            lambda: search.artifacts.restore(
                "tiny/l1/0", 2, Artifact("an-id", "a.safetensors", "x/y", b"x")
            ),
            lambda: search.recreate("tiny/l1/0", []),
            lambda: search.ask(slots[3:]),
            lambda: search.publish({"fronts": "{}"}, "a note"),
            search.delete,
        ]
        for use in uses:
            with suppress(UnknownSweepError):
                use()
        assert (home(), arm()) == before
    with pytest.raises(InputError, match="2 studies"):
        work("tiny", everywhere, train=fake_train)
    assert (home(), arm()) == before


def test_a_trial_that_a_user_runs_in_our_study_is_not_told_fail(store: Store) -> None:
    lifecycle.register(store, one_arm())
    theirs = optuna_study(store.url, "tiny/l1/0").ask()
    work("tiny", store, pack=2, train=fake_train)
    lifecycle.recover(store, "tiny")
    trials = {one.number: one for one in optuna_study(store.url, "tiny/l1/0").trials}
    assert trials.pop(theirs.number).state.name == "RUNNING"
    assert [one.state.name for one in trials.values()].count("RUNNING") == 0
    assert len(store.records("tiny")) == 6


def test_a_copy_of_our_study_is_its_users(everywhere: Store) -> None:
    lifecycle.register(everywhere, one_arm())
    work("tiny", everywhere, pack=6, train=fake_train)
    storage = optuna_storage(everywhere.url)  # from a URL Optuna would leave connections open
    place = {"from_storage": storage, "to_storage": storage}
    for name in ("mine", "aside"):
        optuna.copy_study(from_study_name="tiny/l1/0", to_study_name=name, **place)
    deleted(everywhere, "tiny/l1/0")
    optuna.copy_study(from_study_name="aside", to_study_name="tiny/l1/0", **place)
    assert lifecycle.delete(everywhere, "tiny") == ("tiny/l1/0",)
    assert sorted(study_names(everywhere.url)) == ["aside", "mine", "tiny/l1/0"]


def test_studies_of_a_sweep_that_was_deleted_and_made_anew_are_not_mixed(store: Store) -> None:
    lifecycle.register(store, one_arm())
    left = optuna_study(store.url, "tiny/l1/0")
    store.delete("tiny")  # as by a hand in our tables
    with pytest.raises(InputError, match=r"2 studies .* 'tiny', 'tiny/l1/0'"):
        lifecycle.register(store, one_arm(seed=1))
    assert optuna_study(store.url, "tiny/l1/0")._study_id == left._study_id


def test_trials_made_at_once_have_numbers_of_their_own_on_mysql(mariadb_url: str) -> None:
    """It counts as of the first look into a transaction: here that whose a study is."""
    with closing(Store(mariadb_url)) as store:
        store.upgrade()
        lifecycle.register(store, one_arm())
        with (
            lifecycle.open_studies(store, one_arm()) as one,
            lifecycle.open_studies(store, one_arm()) as other,
        ):
            id_ = one._index.id("tiny/l1/0")
            one._index.guard("tiny/l1/0")
            other._storage.create_new_trial(id_)
            made = one._storage.create_new_trial(id_)
            assert one._storage.get_trial(made).number == 1


@pytest.mark.parametrize("made", [0, 1, 2])
def test_a_crash_between_studies_leaves_none_half_made(
    everywhere: Store, made: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, left = optuna_tables.make, made

    def crash(*arguments: Any) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise StorageError("gone")
        return make(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(optuna_tables, "make", crash)
        with pytest.raises(StorageError):
            lifecycle.register(everywhere, small_sweep())
    assert len(study_names(everywhere.url)) == made
    assert lifecycle.register(everywhere, small_sweep()) == "resumed"
    for name in ("tiny", "tiny/dense/0", "tiny/l1/0", "tiny/mix/0"):
        assert optuna_study(everywhere.url, name).metric_names == ["nonzero", "val_accuracy"]
    assert lifecycle.delete(everywhere, "tiny") == ()
    assert study_names(everywhere.url) == []


def test_sweeps_from_before_studies_were_marked_go_on(everywhere: Store) -> None:
    sweep = small_sweep(targets={"nonzero": [100_000]})
    lifecycle.register(everywhere, sweep)
    as_of_before(everywhere, empty="tiny/mix/0")
    assert lifecycle.register(everywhere, sweep) == "resumed"
    calls = 0

    def stop_early(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            everywhere.stop("tiny")
        return fake_train(*arguments, **options)

    work("tiny", everywhere, pack=3, train=stop_early)
    as_of_before(everywhere)
    assert lifecycle.register(everywhere, sweep) == "resumed"
    work("tiny", everywhere, pack=6, train=fake_train)
    assert len(everywhere.records("tiny")) == 18
    as_of_before(everywhere)
    from sweeper.analysis.confirmation import confirmation_sweep

    # It is not registered again, but its figures change.
    again = confirmation_sweep(
        sweep, everywhere.status("tiny"), everywhere.records("tiny"), seeds=1
    )
    lifecycle.register(everywhere, again)
    work(again.name, everywhere, pack=6, train=fake_train)
    note = marks(everywhere, "tiny")["dashboard:note_str:0"]
    assert "tiny/confirmed" in note
    as_of_before(everywhere)
    assert lifecycle.delete(everywhere, "tiny") == ()
    assert study_names(everywhere.url) == []


def test_of_a_sweep_from_before_a_users_studies_stay_too(everywhere: Store) -> None:
    lifecycle.register(everywhere, one_arm())
    as_of_before(everywhere)
    for name in ("tiny", "tiny/l1/0"):
        deleted(everywhere, name)
    home = users_study(everywhere, "tiny")
    arm = users_study(everywhere, "tiny/l1/0", directions=["minimize", "maximize"])
    optuna_study(everywhere.url, "tiny/l1/0").ask()
    before = home(), arm()
    with pytest.raises(InputError, match="2 studies"):
        lifecycle.register(everywhere, one_arm())
    assert sorted(lifecycle.delete(everywhere, "tiny")) == ["tiny", "tiny/l1/0"]
    assert (home(), arm()) == before


def test_the_way_back_takes_the_marks_along(store: Store) -> None:
    from alembic import command

    from support.database_edits import alembic

    lifecycle.register(store, one_arm())
    with closing(Database(parse_storage_url(store.url))) as database:
        alembic(database, lambda config: command.downgrade(config, "0005"))
    assert optuna_tables.MARK not in marks(store, "tiny")
    store.upgrade()
    assert lifecycle.register(store, one_arm()) == "resumed"
    assert lifecycle.delete(store, "tiny") == ()


def test_a_search_without_the_right_identity_deletes_nothing(store: Store) -> None:
    lifecycle.register(store, one_arm())
    with closing(SweepStudies(store.url, one_arm())) as search:
        assert sorted(search.delete()) == ["tiny", "tiny/l1/0"]
    assert len(study_names(store.url)) == 2

"""All trials of a study, read at once, are those that Optuna's own reading gives."""

import math
import time
from collections.abc import Iterator

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial
from sqlalchemy import create_engine, inspect, text

from support.fakes import fake_train, ladder_sweep, optuna_storage
from support.worker_processes import assert_pooled
from sweeper import lifecycle
from sweeper.retry import RetryPolicy
from sweeper.search.optuna_storage import open_optuna_storage
from sweeper.store import Store
from sweeper.worker.worker_loop import work

SPACE = {
    "rate": FloatDistribution(1e-4, 1.0, log=True),
    "layers": IntDistribution(1, 9, step=2),
    "arm": CategoricalDistribution(("l1", "dense", None, 1, 2.5, True)),
}


@pytest.fixture
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times are stored in UTC and given without a zone."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XXX-5:30")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_from_greenwich")
def test_trials_are_those_that_optuna_reads(everywhere: Store) -> None:
    theirs = optuna_storage(everywhere.url)
    study = optuna.create_study(study_name="odd", storage=theirs, directions=["minimize"] * 2)
    for choice in (None, 1, 2.5, True, "l1"):
        params = {"rate": 0.01, "layers": 5, "arm": choice}
        values = [math.inf, -math.inf] if choice is None else [1.0, 2.5]
        study.add_trial(create_trial(params=params, distributions=SPACE, values=values))
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"outcome": "collapsed"}))
    study.add_trial(create_trial(state=TrialState.WAITING))
    study.enqueue_trial({"rate": 0.5}, user_attrs={"nested": {"list": [1, None, "ü"]}})
    running = study.ask({"rate": SPACE["rate"]})
    running.set_user_attr("text", "x" * 5000)
    theirs.set_trial_system_attr(running._trial_id, "system", {"a": [1.5]})
    single = optuna.create_study(study_name="steps", storage=theirs)
    trial = single.ask()
    for step, value in enumerate((0.5, math.nan, math.inf)):
        trial.report(value, step)
    single.tell(trial, 1.0)
    optuna.create_study(study_name="empty", storage=theirs)
    ours = open_optuna_storage(everywhere.url, {}, RetryPolicy())
    try:
        for name in ("odd", "steps", "empty"):
            id_ = ours.get_study_id_from_name(name)
            # Oracle: Optuna's own reading of the same tables.
            expected = RDBStorage.get_all_trials(ours, id_)
            read = ours.get_all_trials(id_)
            assert repr(read) == repr(expected)
            assert [one.distributions for one in read] == [one.distributions for one in expected]
            waiting = (TrialState.WAITING,)
            assert ours.get_all_trials(id_, states=waiting) == [
                one for one in expected if one.state == TrialState.WAITING
            ]
        with pytest.raises(KeyError):
            ours.get_all_trials(10_000)
    finally:
        ours.remove_session()
        ours.engine.dispose()


def test_of_a_deleted_sweep_no_row_is_left_in_optunas_tables(everywhere: Store) -> None:
    sweep = ladder_sweep()
    lifecycle.register(everywhere, sweep)
    work("tiny", everywhere, pack=8, train=fake_train)
    assert_pooled(everywhere, sweep)
    optuna.create_study(study_name="theirs", storage=optuna_storage(everywhere.url)).ask()
    lifecycle.delete(everywhere, "tiny")
    engine = create_engine(everywhere.url)
    with engine.connect() as connection:
        rows = {
            name: connection.scalar(text(f"SELECT count(*) FROM {name}"))
            for name in inspect(engine).get_table_names()
            if name.startswith(("trial", "stud"))
        }
    engine.dispose()
    assert rows.pop("studies") == rows.pop("study_directions") == rows.pop("trials") == 1
    assert set(rows.values()) == {0}

"""Oracle for the parameters: a slot alone decides; the order of trials and workers does not."""

import json
import math
import random
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import GridSampler
from sqlalchemy import event

from support.fakes import fake_result, grid_sweep, optuna_study, small_sweep, study_names
from sweeper.config import Choice, Domain, Integer, Sweep, derive_seed
from sweeper.config.registry import SAMPLERS
from sweeper.errors import StorageError
from sweeper.retry import RetryPolicy
from sweeper.search import SweepStudies, grid_sampler, optuna_trials
from sweeper.search.attributes import changed, figure_chunks, note_chunks
from sweeper.search.grid_sampler import Grid
from sweeper.search.observations import FinishedSlot
from sweeper.search.samplers import ParameterSource, space_of
from sweeper.types import Scalar, Slot, TrialResult


def sweep_for(sampler: str, **search: object) -> Sweep:
    make = grid_sweep if sampler == "grid" else small_sweep
    return make(search={"sampler": sampler, **search})


def slot_of(sweep: Sweep, number: int, arm: str = "l1", repeat: int = 0) -> Slot:
    return Slot(sweep.name, arm, repeat, number, sweep.study(arm, repeat))


def told(sweep: Sweep, number: int, params: dict[str, Scalar]) -> FinishedSlot:
    result = fake_result(sweep.config("l1", 0, number, params))
    judged = result.pruned if result.state == "complete" else None
    values = (judged.nonzero, judged.val_accuracy) if judged else None
    return FinishedSlot(number, params, (values,))


def ask(search: SweepStudies, slot: Slot) -> tuple[int, dict[str, Scalar]]:
    (asked,) = search.ask([slot])[slot]
    return asked.trial, dict(asked.params)


def run_alone(sweep: Sweep, trials: int) -> list[FinishedSlot]:
    """Return what one worker that does one slot after the other finds."""
    proposals, done = ParameterSource(sweep), list[FinishedSlot]()
    for number in range(trials):
        done.append(told(sweep, number, proposals.params("l1", 0, number, lambda: done)))
    return done


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'search.db'}"


Opened = Callable[..., SweepStudies]


@pytest.fixture
def opened(url: str) -> Iterator[Opened]:
    """Return a function that opens the search of a sweep, as one more worker would."""
    searches: list[SweepStudies] = []

    def open_one(sweep: Sweep | None = None) -> SweepStudies:
        searches.append(SweepStudies(url, sweep or small_sweep()))
        return searches[-1]

    yield open_one
    for search in searches:
        search.close()


@pytest.fixture
def search(opened: Opened) -> SweepStudies:
    search = opened()
    search.create()
    return search


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_slot_alone_decides_its_parameters(sampler: str) -> None:
    # More than NSGA-II's population of 50, more than the start-up of the others.
    trials = {"grid": 6, "nsga2": 70, "gp": 13}.get(sampler, 16)
    sweep = sweep_for(sampler, trials=trials, in_flight=3)
    alone = run_alone(sweep, trials)
    # Oracle: workers that each start afresh and see the trials in any order, the generation's
    # own among them.
    for number in random.Random(1).sample(range(trials), 1 if sampler == "gp" else trials):
        seen = [one for one in alone if one.slot // 3 <= number // 3 and one.slot != number]
        random.Random(number).shuffle(seen)
        again = ParameterSource(sweep).params("l1", 0, number, lambda seen=seen: seen)  # type: ignore[misc]
        assert again == alone[number].params, number


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_more_trials_append_and_change_nothing(sampler: str) -> None:
    short = run_alone(sweep_for(sampler, trials=4), 4)
    long = run_alone(sweep_for(sampler, trials=6), 6)
    assert long[:4] == short


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_slots_differ_and_so_do_arms_repeats_and_seeds(sampler: str) -> None:
    sweep = sweep_for(sampler, repeats=2)
    found = [one.params for one in run_alone(sweep, 6)]
    assert len({json.dumps(params) for params in found}) == 6
    assert found[0].keys() == space_of(sweep, "l1").keys()
    other_repeat = [ParameterSource(sweep).params("l1", 1, number, list) for number in range(3)]
    other_seed = [
        ParameterSource(sweep.model_copy(update={"seed": 1})).params("l1", 0, number, list)
        for number in range(3)
    ]
    assert found[:3] != other_repeat
    assert found[:3] != other_seed


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_arm_without_searched_parameters_works_with_every_sampler(sampler: str) -> None:
    sweep = small_sweep(
        training={"epochs": 1},
        search={"sampler": "random" if sampler == "grid" else sampler, "trials": 60},
    )
    fixed = sweep.model_copy(
        update={"search": sweep.search.model_copy(update={"sampler": sampler})}
    )
    done = [FinishedSlot(number, {}, ((1.0, 0.5),)) for number in range(59)]
    assert ParameterSource(fixed).params("dense", 0, 59, lambda: done) == {}


def test_a_grid_visits_every_point_once() -> None:
    proposals = ParameterSource(grid_sweep())  # 2 strengths x 3 learning rates = 6 points
    points = {json.dumps(proposals.params("l2", 0, number, list)) for number in range(6)}
    assert len(points) == 6


@pytest.mark.parametrize("seed", [0, 7])
def test_a_grid_has_the_order_of_optunas_own_sampler(seed: int) -> None:
    # Oracle: GridSampler, which lists the grid. What is on record was asked of it.
    arms = {
        "l1": {"penalty": "l1", "strength": {"choice": [1e-3, 1e-4, 1]}},
        "sum": {"sum": {"l2": {"strength": {"integer": [1, 17]}}, "l1": {"strength": 0.1}}},
    }
    density = {"density": {"choice": [0.5, 0.1, 0.2]}}
    usual = grid_sweep(seed=seed).model_dump()
    made = Sweep.model_validate({**usual, "arms": arms, "sparsification": density})
    searched: dict[str, dict[str, list[float]]] = {
        "l1": {"strength": [1e-3, 1e-4, 1]},
        "sum": {"l2.strength": list(range(1, 18))},
    }
    for name, listed in searched.items():
        axes: dict[str, list[float]] = {
            **listed,
            "density": [0.5, 0.1, 0.2],
            "learning_rate": [0.01, 0.05, 0.1],
        }
        sampler = GridSampler(axes, derive_seed(seed, "search", name, 1))
        study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
        space = space_of(made, name)
        size = math.prod(len(axis) for axis in axes.values())
        proposals = ParameterSource(made)
        for number in range(size):
            params = proposals.params(name, 1, number, list)
            assert repr(params) == repr(study.ask(space).params), number


def test_points_of_a_grid_that_no_machine_can_list_are_all_different_and_from_all_over_it() -> None:
    low, high = 1, 10**24
    domains: dict[str, Domain] = {
        "a": Integer(integer=(low, high)),
        "b": Choice(choice=(True, False)),
        "c": Integer(integer=(-5, 5)),
    }
    grid = Grid(domains, seed=3)
    assert grid.size == 22 * high
    points = [grid.point(place) for place in range(300)]
    assert points == [Grid(domains, seed=3).point(place) for place in range(300)]
    assert points[:5] != [Grid(domains, seed=4).point(place) for place in range(5)]
    assert len({json.dumps(point) for point in points}) == 300
    assert {point["c"] for point in points} == set(range(-5, 6))
    # Oracle: 300 independent numbers, all of which miss a given tenth once in 5e13 times.
    assert {int(int(point["a"]) / high * 10) for point in points} == set(range(10))
    for place in range(3):  # in any order, as workers ask
        assert Grid(domains, seed=3).point(299 - place) == points[299 - place]


def test_a_grid_that_is_not_shuffled_as_a_whole_visits_every_point_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grid_sampler, "MOST_SHUFFLED", 1)
    grid = Grid({"a": Integer(integer=(1, 7)), "b": Integer(integer=(1, 60))}, seed=1)
    points = [json.dumps(grid.point(place)) for place in range(420)]
    assert len(set(points)) == 420
    assert points != sorted(points)


def test_a_worker_asks_for_points_of_a_large_grid_within_little_memory() -> None:
    code = (
        "import resource, sys; from sweeper.config import Sweep; "
        "from sweeper.search.samplers import ParameterSource; "
        "sweep = Sweep.from_json(sys.stdin.read()); "
        "ParameterSource(sweep).params('l1', 0, 0, list); "
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
        "print(ParameterSource(sweep).params('l1', 1, 5, list)); "
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1000)"
    )
    large = {"l1": {"penalty": "l1", "strength": {"integer": [1, 2_000_000_000]}}}
    sweep = Sweep.model_validate({**grid_sweep().model_dump(), "arms": large, "seed": 5})
    limited = f"ulimit -v 4000000; exec {shlex.quote(sys.executable)} -c {shlex.quote(code)}"
    said = subprocess.run(
        ["/bin/sh", "-c", limited],
        input=sweep.canonical,
        capture_output=True,
        text=True,
        check=True,
    )
    params, grown = said.stdout.splitlines()
    assert set(json.loads(params.replace("'", '"'))) == {"strength", "learning_rate"}
    assert int(grown) < 10


def test_qmc_fills_every_eighth_of_a_range_in_eight_slots() -> None:
    # Oracle: a scrambled Sobol sequence is a (0, m, 1)-net in each coordinate.
    sweep = small_sweep(search={"sampler": "qmc", "trials": 8})
    mixes = [ParameterSource(sweep).params("mix", 0, number, list)["mix"] for number in range(8)]
    assert sorted(int(float(mix) * 8) for mix in mixes) == list(range(8))


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp"])
def test_samplers_move_away_from_where_trials_diverge(sampler: str) -> None:
    sweep = sweep_for(sampler, trials=140, in_flight=10)
    history = [
        told(sweep, number, {"strength": 1e-4 * 1.14**number, "learning_rate": rate})
        for number, rate in enumerate([0.02, 0.05, 0.19, 0.17] * 13)
    ]
    history = [
        *history,
        *(FinishedSlot(52 + n, h.params, h.values) for n, h in enumerate(history[:8])),
    ]
    number = 60
    rates = [
        float(ParameterSource(sweep).params("l1", 0, slot, lambda: history)["learning_rate"])
        for slot in range(number, number + (2 if sampler == "gp" else 10))
    ]
    assert sum(rate > 0.15 for rate in rates) <= len(rates) // 3


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp"])
def test_samplers_go_on_when_every_trial_diverged(sampler: str) -> None:
    sweep = sweep_for(sampler, trials=60, in_flight=10)
    params: dict[str, Scalar] = {"strength": 1e-3, "learning_rate": 0.19}
    history = [FinishedSlot(number, params, (None,)) for number in range(60)]
    assert ParameterSource(sweep).params("l1", 0, 50, lambda: history)


def test_ask_creates_a_running_trial_with_its_slot(search: SweepStudies, url: str) -> None:
    number, params = ask(search, slot_of(small_sweep(), 0))
    trial = optuna_study(url, "tiny/l1/0").trials[number]
    assert trial.state.name == "RUNNING"
    assert trial.params == params
    assert trial.user_attrs == {
        "arm": "l1",
        "slot": 0,
        "device": "cpu",
        "strength": params["strength"],
        "density": small_sweep().sparsification.density,
    }
    assert search.running("tiny/l1/0") == (number,)


def result(state: str = "complete") -> TrialResult:
    rate = {"complete": 0.05, "collapsed": 0.14, "diverged": 0.19}[state]
    return fake_result(small_sweep().config("l1", 0, 0, {"strength": 1e-3, "learning_rate": rate}))


def test_tell_writes_values_names_and_attributes(search: SweepStudies, url: str) -> None:
    number, _ = ask(search, slot_of(small_sweep(), 0))
    search.tell([("tiny/l1/0", number, result())])
    study = optuna_study(url, "tiny/l1/0")
    judged = result().pruned
    assert judged
    assert study.metric_names == ["nonzero", "val_accuracy"]
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert study.trials[number].values == [judged.nonzero, judged.val_accuracy]
    attributes = study.trials[number].user_attrs
    given = {"arm", "slot", "device", "strength", "density"}
    assert {key: attributes[key] for key in attributes.keys() - given} == {
        "test_accuracy": judged.test_accuracy,
        "effective_nonzero": judged.effective,
        "seconds": 0.5,
        "as_trained_nonzero": 266_610,
        "as_trained_val_accuracy": judged.val_accuracy,
    }
    # The dashboard sorts by what is a number in every trial.
    assert all(
        isinstance(value, int | float)
        for key, value in attributes.items()
        if key not in ("arm", "device")
    )


@pytest.mark.parametrize(
    "kind", ["sqlite_url", pytest.param("postgres_url", marks=pytest.mark.postgres), "mariadb_url"]
)
def test_attributes_and_the_end_of_a_trial_are_one_transaction(
    kind: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(kind)
    search = SweepStudies(url, small_sweep())
    search.create()
    numbers = [ask(search, slot_of(small_sweep(), slot))[0] for slot in range(3)]
    # Somebody wrote one of them already: ours counts, and the trial ends all the same.
    taken = search._backend.get_trial_id_from_study_id_trial_number(
        search._index.id("tiny/l1/0"), numbers[1]
    )
    search._backend.set_trial_user_attr(taken, "seconds", "long")
    commits: list[object] = []
    event.listen(search._backend.engine, "commit", commits.append)
    search.tell([("tiny/l1/0", numbers[0], result())])
    assert len(commits) == 1
    search.tell([("tiny/l1/0", numbers[1], result())])
    search.tell([("tiny/l1/0", numbers[2], result("collapsed"))])
    search.tell([("tiny/l1/0", numbers[2], result())])
    search.close()
    # Oracle: what any user of Optuna reads.
    first, second, third = optuna_study(url, "tiny/l1/0").trials
    assert [one.state.name for one in (first, second, third)] == ["COMPLETE", "COMPLETE", "FAIL"]
    assert first.user_attrs["seconds"] == second.user_attrs["seconds"] == 0.5
    assert first.user_attrs.keys() == second.user_attrs.keys() > {"test_accuracy", "strength"}
    assert third.user_attrs["outcome"] == "collapsed"
    assert "test_accuracy" not in third.user_attrs


def test_a_sweep_that_selects_on_test_says_so(opened: Opened, url: str) -> None:
    sweep = small_sweep(select_on="test")
    search = opened(sweep)
    search.create()
    number, _ = ask(search, slot_of(sweep, 0))
    search.tell([("tiny/l1/0", number, result())])
    study = optuna_study(url, "tiny/l1/0")
    judged = result().pruned
    assert judged
    assert study.metric_names == ["nonzero", "test_accuracy"]
    assert study.trials[number].values[1] == judged.test_accuracy


@pytest.mark.parametrize("state", ["diverged", "collapsed"])
def test_a_trial_without_a_network_to_judge_has_an_outcome_and_is_on_no_front(
    search: SweepStudies, url: str, state: str
) -> None:
    good, _ = ask(search, slot_of(small_sweep(), 0))
    bad, _ = ask(search, slot_of(small_sweep(), 1))
    search.tell([("tiny/l1/0", good, result())])
    search.tell([("tiny/l1/0", bad, result(state))])
    study = optuna_study(url, "tiny/l1/0")
    assert study.trials[bad].state.name == "FAIL"
    assert study.trials[bad].user_attrs["outcome"] == state
    assert [trial.number for trial in study.best_trials] == [good]


def test_telling_twice_changes_nothing(search: SweepStudies, opened: Opened, url: str) -> None:
    number, _ = ask(search, slot_of(small_sweep(), 0))
    search.tell([("tiny/l1/0", number, result())])
    before = optuna_study(url, "tiny/l1/0").trials
    search.fail("tiny/l1/0", [number])
    search.tell([("tiny/l1/0", number, result("diverged"))])
    opened().tell([("tiny/l1/0", number, result("collapsed"))])
    assert optuna_study(url, "tiny/l1/0").trials == before
    search.tell([("tiny/l1/0", 99, result())])  # deleted in the dashboard: nothing to tell


def test_a_failed_trial_is_neither_running_nor_history(search: SweepStudies) -> None:
    number, _ = ask(search, slot_of(small_sweep(), 0))
    search.fail("tiny/l1/0", [number])
    assert search.running("tiny/l1/0") == ()


def test_parameters_survive_the_database(opened: Opened) -> None:
    # Oracle: the same sweep without a database.
    sweep = small_sweep(search={"trials": 16})
    alone = run_alone(sweep, 16)
    workers = [opened(sweep), opened(sweep)]
    workers[0].create()
    for start in range(0, 16, 3):
        numbers = list(range(start, min(start + 3, 16)))
        asked = {}
        for number in reversed(numbers):  # trials get their numbers in another order
            search = workers[number % 2]
            asked[number], params = ask(search, slot_of(sweep, number))
            assert params == alone[number].params
        for number in numbers:
            outcome = fake_result(sweep.config("l1", 0, number, dict(alone[number].params)))
            search.tell([("tiny/l1/0", asked[number], outcome)])


def test_studies_are_created_once_when_several_create_them_at_once(
    opened: Opened, url: str
) -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(6)

    def create() -> None:
        try:
            start.wait()
            opened().create()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    names = study_names(url)
    assert sorted(names) == ["tiny", "tiny/dense/0", "tiny/l1/0", "tiny/mix/0"]


def test_delete_leaves_other_sweeps_alone(search: SweepStudies, opened: Opened, url: str) -> None:
    opened(small_sweep("tin")).create()
    search.delete()
    search.delete()
    assert all(name.startswith("tin") for name in study_names(url))
    assert "tin/l1/0" in study_names(url)
    assert "tiny" not in study_names(url)


def test_the_dashboard_reads_what_is_published(search: SweepStudies, url: str) -> None:
    from optuna_dashboard import get_note
    from optuna_dashboard._custom_plot_data import get_plotly_graph_objects

    for size in (9000, 100):  # a smaller figure and note leave nothing of the larger ones
        figure = json.dumps({"data": [], "layout": {"title": "x" * size}})
        search.publish({"fronts": figure}, "note " * size)
        study = optuna_study(url, "tiny")
        # Oracle: the dashboard's own readers.
        assert get_note(study) == "note " * size
        assert get_plotly_graph_objects(study._storage.get_study_system_attrs(study._study_id)) == {
            "fronts": figure
        }


def test_publishing_the_same_again_writes_nothing() -> None:
    wanted = figure_chunks("a", "x" * 5000) | note_chunks("text")
    known = changed({}, wanted)
    assert len(known) == 3 + 1 + 1
    assert changed(known, wanted) == changed(known, wanted, ["b"]) == {}


def test_a_database_that_stays_away_is_one_line() -> None:
    search = SweepStudies("sqlite:////nowhere/at/all.db", small_sweep(), patience=RetryPolicy(0.1))
    with pytest.raises(StorageError, match=r"^the database refused: unable to open database file$"):
        search.create()


def test_an_error_of_the_database_is_tried_again(
    search: SweepStudies, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, _ = ask(search, slot_of(small_sweep(), 0))
    real, calls = optuna_trials.finish_trials, []

    def flaky(*args: Any) -> None:
        calls.append(args)
        if len(calls) == 1:
            raise optuna.exceptions.StorageInternalError("locked")
        real(*args)

    monkeypatch.setattr(optuna_trials, "finish_trials", flaky)
    search.tell([("tiny/l1/0", number, result())])
    assert search.running("tiny/l1/0") == ()
    assert len(calls) == 2
    assert "test_accuracy" in optuna_study(url, "tiny/l1/0").trials[number].user_attrs


@pytest.mark.parametrize(("select_on", "accuracy"), [("validation", "val"), ("test", "test")])
def test_every_study_names_its_values_that_of_the_sweep_too(
    opened: Opened, url: str, select_on: str, accuracy: str
) -> None:
    opened(small_sweep(select_on=select_on)).create()
    for name in ("tiny", "tiny/dense/0", "tiny/l1/0"):
        assert optuna_study(url, name).metric_names == ["nonzero", f"{accuracy}_accuracy"]


def test_a_study_of_an_arm_says_what_it_is_and_links_to_its_sweep(
    search: SweepStudies, url: str
) -> None:
    from optuna_dashboard import get_note

    note = get_note(optuna_study(url, "tiny/l1/0"))
    home = optuna_study(url, "tiny")._study_id
    assert note.startswith("## l1 of tiny, repeat 0\n")
    assert "](/sweeps/tiny/)" in note
    assert f"](/dashboard/studies/{home})" in note
    assert "**l1** as prox: sum of magnitudes, `R(W) = sum |w|`" in note
    assert "are selected on these two alone" in note
    assert get_note(optuna_study(url, "tiny/mix/0")) != note
    assert "no penalty and no method" in get_note(optuna_study(url, "tiny/dense/0"))
    assert get_note(optuna_study(url, "tiny")) == ""


def test_a_note_that_somebody_edited_stays(opened: Opened, search: SweepStudies, url: str) -> None:
    from optuna_dashboard import get_note, save_note

    for text in ("mine", ""):
        save_note(optuna_study(url, "tiny/l1/0"), text)
        opened().create()
        assert get_note(optuna_study(url, "tiny/l1/0")) == text


def test_a_figure_with_nothing_to_show_vanishes_and_others_stay(
    search: SweepStudies, url: str
) -> None:
    from optuna_dashboard import save_plotly_graph_object
    from optuna_dashboard._custom_plot_data import get_plotly_graph_objects
    from plotly.graph_objects import Figure

    own = Figure()
    save_plotly_graph_object(optuna_study(url, "tiny"), own, graph_object_id="own")
    search.publish({"a": "{}" * 3000, "b": "{}"}, "")
    search.publish({"a": None, "b": "{}"}, "")
    study = optuna_study(url, "tiny")
    # Oracle: the dashboard's own reader; it fails on a figure without a text.
    assert get_plotly_graph_objects(study._storage.get_study_system_attrs(study._study_id)) == {
        "b": "{}",
        "own": own.to_json(),
    }

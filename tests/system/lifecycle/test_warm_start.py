"""Warm start: every arm tries the best of an earlier sweep first, as many in each."""

from collections.abc import Mapping
from typing import Any

import pytest

from support.fakes import fake_probe, fake_train, ladder_sweep, small_sweep
from sweeper import lifecycle
from sweeper.analysis.best_configs import best_configs
from sweeper.analysis.confirmation import confirmation_sweep
from sweeper.config import Sweep
from sweeper.errors import InputError, SpecError
from sweeper.reports.html_page import page
from sweeper.store import Store
from sweeper.types import Scalar
from sweeper.worker.worker_loop import work

START = {"from": "old", "top": 3}
ARMS = small_sweep().model_dump(mode="json")["arms"]


def finished(store: Store, sweep: Sweep | None = None) -> None:
    sweep = sweep or small_sweep("old", search={"trials": 12, "repeats": 2})
    lifecycle.register(store, sweep)
    work(sweep.name, store, pack=16, train=fake_train, probe=fake_probe)


def warm(name: str = "tiny", **changes: Any) -> Sweep:
    return small_sweep(name, **{"warm_start": START, **changes})


def given(store: Store, name: str = "tiny") -> dict[tuple[str, int], list[Mapping[str, Scalar]]]:
    configs: dict[tuple[str, int], list[Mapping[str, Scalar]]] = {}
    for config in store.interventions.enqueued(name):
        configs.setdefault((config.arm, config.repeat), []).append(config.params)
    return configs


def test_every_arm_and_repeat_begins_with_the_same_number_of_the_old_best(
    everywhere: Store,
) -> None:
    finished(everywhere)
    lifecycle.register(everywhere, sweep := warm(search={"repeats": 2}))
    old = everywhere.sweep_record("old")
    expected = {arm: best_configs(sweep, old, arm, 3) for arm in sweep.arms}
    places = {(arm, repeat): expected[arm] for arm in sweep.arms for repeat in (0, 1)}
    assert given(everywhere) == places
    assert all(len(configs) == 3 for configs in expected.values())
    work("tiny", everywhere, pack=16, train=fake_train)
    record = everywhere.sweep_record("tiny")
    for (arm, repeat), configs in places.items():
        tried = [r.params for r in record.records if r.slot.place[:2] == (arm, repeat)]
        assert tried[:3] == configs
    assert "<li>each arm began with the 3 best configurations of old</li>" in page(record)


def test_the_best_are_on_the_front_and_differ(sqlite_store: Store) -> None:
    finished(sqlite_store)
    old = sqlite_store.sweep_record("old")
    front = [dict(point.params) for point in old.fronts()["l1"]]
    best = best_configs(warm(), old, "l1", 24)
    assert best[0] in [{name: point[name] for name in best[0]} for point in front]
    complete = [r for r in old.records if r.slot.arm == "l1" and r.result.state == "complete"]
    assert len(best) == len(complete)  # all, the worst last
    assert sorted(map(str, best)) == sorted(str(dict(r.params)) for r in complete)


def test_what_is_resolved_stays_whatever_becomes_of_the_old_sweep(sqlite_store: Store) -> None:
    finished(sqlite_store)
    lifecycle.register(sqlite_store, warm())
    before = given(sqlite_store)
    lifecycle.delete(sqlite_store, "old")
    assert lifecycle.register(sqlite_store, warm()) == "resumed"
    assert given(sqlite_store) == before
    longer = warm(search={"repeats": 2, "trials": 8})
    assert lifecycle.register(sqlite_store, longer, extend=True) == "extended"
    again = given(sqlite_store)
    assert {place: again[place] for place in before} == before
    assert {(arm, 1): configs for (arm, _), configs in before.items()}.items() <= again.items()
    more = warm(search={"repeats": 2, "trials": 8}, arms={**ARMS, "l2": {"penalty": "l2"} | L2})
    with pytest.raises(InputError, match=r"tiny: warm_start.from: no such sweep: got 'old'"):
        lifecycle.register(sqlite_store, more, extend=True)
    assert "l2" not in sqlite_store.sweep("tiny").arms


L2 = {"strength": {"log_uniform": [1e-4, 1e-1]}}


def test_parameters_that_the_old_sweep_did_not_search_are_the_samplers(
    sqlite_store: Store,
) -> None:
    finished(sqlite_store)
    training = {
        "epochs": 1,
        "learning_rate": {"log_uniform": [0.01, 0.2]},
        "momentum": {"uniform": [0.5, 0.95]},
    }
    arms = {"l1": {"penalty": "l1", "strength": "auto"}}
    lifecycle.register(sqlite_store, sweep := warm(training=training, arms=arms))
    (configs,) = given(sqlite_store).values()
    assert all(list(params) == ["strength", "learning_rate"] for params in configs)
    work("tiny", sqlite_store, pack=8, train=fake_train, probe=fake_probe)
    first = sqlite_store.records("tiny")[0].params
    assert list(first) == list(sweep.domains("l1"))
    assert 0.5 <= float(first["momentum"]) <= 0.95


def test_a_ladder_begins_with_the_best_of_a_ladder(sqlite_store: Store) -> None:
    finished(sqlite_store, ladder_sweep("old"))
    lifecycle.register(sqlite_store, ladder_sweep(warm_start=START))
    assert {len(configs) for configs in given(sqlite_store).values()} == {3}


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        (
            {"warm_start": {"from": "odl", "top": 3}},
            ["tiny: warm_start.from: no such sweep: got 'odl'; allowed: old; did you mean 'old'?"],
        ),
        (
            {"arms": {**ARMS, "l2": {"penalty": "l2"} | L2, "l0": {"penalty": "l2"} | L2}},
            [
                "tiny: warm_start: arms.l2: old has no such arm",
                "tiny: warm_start: arms.l0: old has no such arm",
            ],
        ),
        (
            {"training": {"epochs": 1, "learning_rate": {"log_uniform": [1e-9, 1e-8]}}},
            [
                f"tiny: warm_start.top: arms.{arm}: 0 configurations of old with a result fit its "
                "ranges, got 3"
                for arm in ("dense", "l1", "mix")
            ],
        ),
    ],
)
def test_what_cannot_be_begun_with_is_a_line_for_each_arm_and_registers_nothing(
    sqlite_store: Store, changes: dict[str, Any], lines: list[str]
) -> None:
    finished(sqlite_store)
    with pytest.raises(InputError) as refused:
        lifecycle.register(sqlite_store, warm(**changes))
    assert str(refused.value).splitlines() == lines
    assert sqlite_store.names() == ("old",)


def test_an_unfinished_sweep_is_refused(sqlite_store: Store) -> None:
    lifecycle.register(sqlite_store, small_sweep("old"))
    line = "tiny: warm_start.from: old must be finished, 0 of 18 trials are done"
    with pytest.raises(InputError, match=line):
        lifecycle.register(sqlite_store, warm())


@pytest.mark.parametrize(
    ("start", "line"),
    [
        ({"from": "tiny", "top": 3}, "warm_start.from: must be another sweep, got 'tiny'"),
        ({"from": "old", "top": 7}, "warm_start.top: must be <= 6, the trials of an arm"),
        ({"from": "old", "top": 0}, "warm_start.top: must be >= 1, got 0"),
        ({"from": "old", "tap": 2}, "did you mean 'top'?"),
        ({"top": 2}, "warm_start.from: required"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(start: dict[str, Any], line: str) -> None:
    raw = {**small_sweep().model_dump(mode="json"), "warm_start": start}
    with pytest.raises(SpecError) as refused:
        Sweep.of_mapping(raw)
    assert any(line in problem for problem in refused.value.problems)


def test_it_is_part_of_the_digest_and_a_confirmation_has_none(sqlite_store: Store) -> None:
    assert warm().digest != small_sweep().digest
    assert Sweep.from_json(warm().canonical) == warm()
    assert '"warm_start":{"from":"old","top":3}' in warm().canonical
    finished(sqlite_store)
    sweep = warm(targets={"nonzero": [20_000, 100_000]})
    finished(sqlite_store, sweep)
    record = sqlite_store.sweep_record("tiny")
    again = confirmation_sweep(sweep, record.status, record.records, seeds=1)
    assert again.warm_start is None
    lifecycle.register(sqlite_store, again)
    assert sqlite_store.interventions.enqueued(again.name) == ()

"""Chosen configurations, trained again with fresh seeds."""

import json
import signal
from collections import Counter
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from support.databases import on_sqlite
from support.factories import make_bracket, make_fact, make_facts, make_status, make_sweep
from support.fakes import (
    auto_sweep,
    fake_train,
    optuna_storage,
    optuna_study,
    small_sweep,
    study_names,
)
from support.finished_sweeps import TARGETS, finished
from support.processes import wait_for
from support.worker_processes import worker_process
from sweeper import lifecycle
from sweeper.analysis.confirmation import (
    ConfirmedConfig,
    accuracy_at_size,
    confirmation_sweep,
    confirmed_configs,
    confirmed_curves,
    continued_confirmation,
    size_at_accuracy,
)
from sweeper.cli import main
from sweeper.config import Sweep
from sweeper.errors import DigestError, InputError, SpecError
from sweeper.store import Store
from sweeper.types import Scalar, TrialRecord
from sweeper.worker.worker_loop import work

SIZES = [5000, 20_000, 100_000]


def searched(**changes: Any) -> tuple[Sweep, list[TrialRecord]]:
    """Two repeats of two arms; sizes and accuracies are those of the comments."""
    sweep = make_sweep(
        search={"trials": 2, "repeats": 2},
        targets={"nonzero": SIZES, "accuracy": [0.9, 0.97]},
        **changes,
    )
    make = partial(make_fact, sweep=sweep)
    return sweep, [
        make(arm="none", repeat=0, slot=0, nonzero=4000, val=0.95),  # within 5,000
        make(arm="none", repeat=0, slot=1, nonzero=30_000, val=0.98),  # within 100,000
        make(arm="none", repeat=1, slot=0, nonzero=4500, val=0.96),
        make(arm="none", repeat=1, slot=1, nonzero=4400, val=0.97),  # within all
        make(arm="l1", repeat=0, slot=0, nonzero=200_000, val=0.99),  # too large for any
        make(arm="l1", repeat=0, slot=1, nonzero=3000, val=0.2, state="collapsed"),
        make(arm="l1", repeat=1, slot=0, nonzero=15_000, val=0.97),  # within 20,000
        make(arm="l1", repeat=1, slot=1, nonzero=90_000, val=0.96),  # no better than the smaller
    ]


def chosen(sweep: Sweep, facts: list[TrialRecord], **options: Any) -> Sweep:
    return confirmation_sweep(sweep, make_status(sweep, facts), facts, **options)


def trained(sweep: Sweep, accuracy: float = 0.95) -> list[TrialRecord]:
    """Facts of a confirmation, all of one accuracy."""
    found = []
    for arm in sweep.arms:
        for repeat, number in sweep.slots(arm):
            fact = make_fact(sweep=sweep, arm=arm, repeat=repeat, slot=number, val=accuracy)
            found.append(fact)
    return found


def test_of_each_repeat_the_best_on_validation_within_each_size_is_chosen() -> None:
    confirms = chosen(*searched()).confirms
    assert confirms is not None
    places = {
        arm: [(one.repeat, one.slot, one.sizes) for one in several]
        for arm, several in confirms.chosen.items()
    }
    assert places == {
        "none": [(0, 0, (5000, 20_000)), (0, 1, (100_000,)), (1, 1, (5000, 20_000, 100_000))],
        "l1": [(1, 0, (20_000, 100_000))],
    }


def test_a_choice_on_test_needs_a_file_that_says_so() -> None:
    sweep, facts = searched()
    lucky = replace(
        facts[2], result=make_fact(sweep=sweep, nonzero=4600, val=0.9, test=0.999).result
    )
    facts[2] = lucky
    by_validation = chosen(sweep, facts).confirms
    assert by_validation is not None
    assert by_validation.chosen["none"][-1].slot == 1
    sweep, _ = searched(select_on="test")
    by_test = chosen(
        sweep, [replace(fact, slot=replace(fact.slot, sweep=sweep.name)) for fact in facts]
    ).confirms
    assert by_test is not None
    assert by_test.chosen["none"][-1].slot == 0


def test_every_configuration_is_trained_once_with_every_seed() -> None:
    sweep = chosen(*searched(), seeds=4)
    assert len(sweep.slots("none")) == 3 * 4
    assert len(set(sweep.slots("none"))) == 3 * 4
    configs = {
        (arm, repeat, number): sweep.config(
            arm, repeat, number, {"strength": 0.1, "density": 0.1, "learning_rate": 0.1}
        )
        for arm in sweep.arms
        for repeat, number in sweep.slots(arm)
    }
    seeds = Counter((config.init_seed, config.recipe.order_seed) for config in configs.values())
    # Two repeats of four seeds; all arms and sizes of one (repeat, seed) share them.
    assert sorted(seeds.values()) == [2, 2, 2, 2, 2, 2, 2, 2]
    base, _ = searched()
    old = {
        base.config("none", repeat, slot, {"density": 0.1, "learning_rate": 0.1}).init_seed
        for repeat in range(2)
        for slot in range(50)
    }
    assert not old & {seed for seed, _ in seeds}


def test_more_seeds_leave_the_earlier_slots_as_they_are() -> None:
    few, many = chosen(*searched(), seeds=2), chosen(*searched(), seeds=5)
    for arm in few.arms:
        assert set(few.slots(arm)) < set(many.slots(arm))
        for repeat, number in few.slots(arm):
            params: dict[str, Scalar] = {"strength": 0.1, "density": 0.1, "learning_rate": 0.1}
            assert few.config(arm, repeat, number, params) == many.config(
                arm, repeat, number, params
            )


def test_ranges_that_a_probe_found_are_written_out() -> None:
    arms = {"l1": {"penalty": "l1", "strength": "auto"}}
    sweep = make_sweep(search={"trials": 1}, arms=arms)
    facts = [make_fact(sweep=sweep, nonzero=900)]
    found = chosen(sweep, facts, ranges=[make_bracket()])
    assert found.auto_parameters("l1") == ()
    assert found.domains("l1")["strength"].bounds == (1e-3, 1e-1)  # type: ignore[union-attr]
    assert Sweep.from_json(found.canonical).digest == found.digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("unfinished", "toy: 7 of 8 trials done; the choice is made when all are"),
        ("large", r"toy: no arm has a network within 100 nonzero parameters"),
        ("seeds", "seeds: must be >= 1, got 0"),
        ("again", "toy/confirmed: is a confirmation itself: sweeper confirm toy"),
    ],
)
def test_what_cannot_be_confirmed_is_one_line(change: str, said: str) -> None:
    sweep, facts = searched()
    seeds = 0 if change == "seeds" else 5
    if change == "unfinished":
        facts.pop()
    if change == "large":
        sweep = make_sweep(search={"trials": 2, "repeats": 2}, targets={"nonzero": [100]})
    if change == "again":
        sweep = chosen(sweep, facts)
    with pytest.raises(InputError, match=said):
        confirmation_sweep(sweep, make_status(sweep, facts), facts, seeds=seeds)


def test_no_study_file_can_pass_for_a_confirmation(tmp_path: Any) -> None:
    sweep, _ = searched()
    written = json.loads(chosen(*searched()).canonical)
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps(written), encoding="utf-8")
    with pytest.raises(SpecError, match="confirms: is for `sweeper confirm NAME`, not for files"):
        Sweep.load(path)
    values = json.loads(sweep.canonical) | {"name": "toy/confirmed"}
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(SpecError, match="name: must not end in /confirmed"):
        Sweep.load(path)


def test_means_are_over_seeds_and_a_diverged_one_was_never_right() -> None:
    sweep = chosen(*searched(), seeds=2)
    facts = trained(sweep)
    place = next(
        i for i, fact in enumerate(facts) if (fact.slot.arm, fact.slot.repeat) == ("l1", 1)
    )
    facts[place] = replace(facts[place], result=make_fact(state="diverged").result)
    (one,) = [one for one in confirmed_configs(sweep, facts, searched()[1]) if one.arm == "l1"]
    assert one.accuracies("test_accuracy") == (0.0, 0.95)
    assert one.accuracy("test_accuracy") == pytest.approx(0.475)
    assert one.failed == 1
    assert one.nonzero == pytest.approx(4000)
    assert one.shrinkage("val_accuracy") == pytest.approx(0.97 - 0.475)


def test_sizes_at_an_accuracy_are_read_within_each_repeat() -> None:
    sweep, facts = searched()
    again = chosen(sweep, facts, seeds=1)
    results: list[TrialRecord] = []
    for repeat, number in again.slots("none"):
        size = {(0, 0): 1000, (0, 2): 100_000, (1, 0): 2000}[repeat, number]
        accuracy = {(0, 0): 0.90, (0, 2): 0.98, (1, 0): 0.97}[repeat, number]
        results.append(
            make_fact(
                sweep=again,
                arm="none",
                repeat=repeat,
                slot=number,
                nonzero=size,
                val=0.5,
                test=accuracy,
            )
        )
    found = [one for one in confirmed_configs(again, results, facts) if one.arm == "none"]
    of = confirmed_curves(again, found, "test_accuracy")["none"]
    at = size_at_accuracy(of, 0.94)
    assert at.readings[0].exact == pytest.approx(10_000)
    assert at.readings[1].state == "below"
    assert at.readings[1].value == pytest.approx(2000)
    assert (at.estimate, at.reached, at.repeats) == (None, 2, 2)
    assert at.most is not None
    assert at.most.center == pytest.approx((10_000 * 2000) ** 0.5)
    assert at.most.high is None  # two repeats have no limit
    high = size_at_accuracy(of, 0.975)
    assert (high.reached, high.most) == (1, None)
    mean = accuracy_at_size(again, found, "none", 100_000, "test_accuracy").mean
    assert mean is not None
    assert mean.center == pytest.approx((0.98 + 0.97) / 2)


def exact(store: Store, sweep: Sweep) -> tuple[TrialRecord, ...]:
    """Every slot of the confirmation is on record once, and told with its test accuracy."""
    facts = store.records(sweep.name)
    places = [fact.slot.place for fact in facts]
    wanted = [(arm, *place) for arm in sweep.arms for place in sweep.slots(arm)]
    assert sorted(places) == sorted(wanted)
    assert sweep.confirms is not None
    for arm in sweep.arms:
        study = optuna_study(store.url, f"{sweep.confirms.of}/{arm}/confirmed")
        told = {trial.number: trial for trial in study.trials}
        for fact in (fact for fact in facts if fact.slot.arm == arm):
            trial = told[fact.trial]
            one, _ = sweep.confirms.at(arm, fact.slot.repeat, fact.slot.number)
            assert trial.params == fact.params == one.params
            if fact.result.state == "complete":
                judged = fact.result.judged("pruned")
                assert judged is not None
                assert trial.values == [judged.nonzero, judged.test_accuracy]
    return facts


@on_sqlite
def test_confirmed_networks_stand_in_optuna_with_their_test_accuracy(store: Store) -> None:
    sweep = finished(
        store, small_sweep(search={"sampler": "tpe", "trials": 6, "repeats": 2}, targets=TARGETS)
    )
    lifecycle.register(store, sweep)
    work(sweep.name, store, pack=5, train=fake_train)
    exact(store, sweep)
    study = optuna_study(store.url, f"tiny/{next(iter(sweep.arms))}/confirmed")
    assert study.metric_names == ["nonzero", "test_accuracy"]
    assert {trial.user_attrs["repeat"] for trial in study.trials} == {0, 1}
    storage = optuna_storage(store.url)
    shown = storage.get_study_system_attrs(storage.get_study_id_from_name("tiny/confirmed"))
    assert "Test accuracy of networks trained again" in str(shown["dashboard:note_str:0"])


@on_sqlite
def test_results_do_not_depend_on_packs_or_deaths(store: Store) -> None:
    sweep = finished(store, auto_sweep(targets=TARGETS))
    lifecycle.register(store, sweep)
    # The lease of the dead is not waited for: it would be longer than this test may take.
    dying = worker_process(store.url, "--delay", "600", "--lease", "3600", name=sweep.name)
    with dying as process:
        wait_for(lambda: "RUNNING" in _states(store, sweep))
        process.send_signal(signal.SIGKILL)
        process.wait()
    work(sweep.name, store, pack=4, train=fake_train)
    first = exact(store, sweep)
    assert "RUNNING" not in _states(store, sweep)
    lifecycle.delete(store, sweep.name)
    lifecycle.register(store, sweep)
    work(sweep.name, store, pack=16, train=fake_train)
    second = exact(store, sweep)
    plain = [{f.slot.place: f.result.pruned for f in facts} for facts in (first, second)]
    assert plain[0] == plain[1]


def _states(store: Store, sweep: Sweep) -> Counter[str]:
    found: Counter[str] = Counter()
    for study in sweep.studies():
        found.update(trial.state.name for trial in optuna_study(store.url, study).trials)
    return found


def test_more_seeds_are_added_and_another_choice_is_refused(store: Store) -> None:
    sweep = finished(store, small_sweep(targets=TARGETS))
    lifecycle.register(store, sweep)
    work(sweep.name, store, pack=8, train=fake_train)
    assert sweep.confirms is not None
    more = sweep.confirms.model_copy(update={"seeds": 5})
    wider = Sweep.model_validate(sweep.model_dump() | {"confirms": more.model_dump()})
    assert lifecycle.register(store, wider, extend=True) == "extended"
    work(sweep.name, store, pack=8, train=fake_train)
    exact(store, wider)
    arm = next(iter(sweep.arms))
    other = more.model_copy(update={"chosen": {**more.chosen, arm: ()}})
    with pytest.raises(DigestError):
        lifecycle.register(
            store,
            Sweep.model_validate(sweep.model_dump() | {"confirms": other.model_dump()}),
            extend=True,
        )


@on_sqlite
def test_a_search_that_got_further_arms_and_repeats_is_confirmed_on(store: Store) -> None:
    first = finished(store, small_sweep(targets=TARGETS))
    lifecycle.register(store, first)
    work(first.name, store, pack=8, train=fake_train)
    before = exact(store, first)

    raw = small_sweep(targets=TARGETS).model_dump()
    raw["arms"]["l2"] = {"penalty": "l2", "strength": {"log_uniform": [1e-4, 1e-1]}}
    raw["search"]["repeats"] = 2
    wider = Sweep.model_validate(raw)
    lifecycle.register(store, wider, extend=True)
    wanted = continued_confirmation(first, finished(store, wider))
    assert lifecycle.register(store, wanted, extend=True) == "extended"
    work(wanted.name, store, pack=8, train=fake_train)
    after = exact(store, wanted)
    assert {fact.slot.arm for fact in after} == {"dense", "l1", "mix", "l2"}
    assert {fact.slot.repeat for fact in after if fact.slot.arm == "l1"} == {0, 1}
    assert set(map(_place, before)) < set(map(_place, after))


def _place(fact: TrialRecord) -> tuple[str, int, int, int, float]:
    return *fact.slot.place, fact.trial, fact.recorded_at


def test_a_search_that_got_more_trials_and_chooses_others_is_not_confirmed_on() -> None:
    sweep, facts = searched()
    known = chosen(sweep, facts)
    better = make_fact(sweep=sweep, arm="none", repeat=0, slot=0, nonzero=4000, val=0.999)
    now = chosen(sweep, [better, *facts[1:]])
    with pytest.raises(InputError, match=r"^toy: .* chooses others now of none: sweeper delete"):
        continued_confirmation(known, now)


@on_sqlite
def test_other_accuracies_need_no_training_and_other_sizes_another_confirmation(
    store: Store,
) -> None:
    first = finished(store, small_sweep(targets=TARGETS))
    lifecycle.register(store, first)
    work(first.name, store, pack=8, train=fake_train)
    before = exact(store, first)

    again = small_sweep(targets={**TARGETS, "accuracy": [0.5]})
    lifecycle.register(store, again, extend=True)
    wanted = continued_confirmation(first, finished(store, again))
    assert lifecycle.register(store, wanted, extend=True) == "extended"
    assert wanted.targets.accuracy == (0.5,)
    assert exact(store, wanted) == before

    wider = small_sweep(targets={**TARGETS, "nonzero": [*TARGETS["nonzero"], 10**6]})
    lifecycle.register(store, wider, extend=True)
    with pytest.raises(
        InputError, match=r"^tiny: .* other targets .*: sweeper delete tiny/confirmed"
    ):
        continued_confirmation(wanted, finished(store, wider))


@on_sqlite
def test_a_sweep_is_deleted_with_its_confirmation(store: Store) -> None:
    sweep = finished(store, small_sweep(targets=TARGETS))
    lifecycle.register(store, sweep)
    assert "tiny/confirmed" in store.names()
    lifecycle.delete(store, "tiny")
    assert store.names() == ()
    assert study_names(store.url) == []


def test_shrinkage_is_what_the_search_promised_too_much() -> None:
    sweep = make_sweep(search={"trials": 40, "repeats": 5})
    facts = make_facts(sweep)
    again = confirmation_sweep(sweep, make_status(sweep, facts), facts)
    found = confirmed_configs(again, trained(again, 0.9), facts)
    assert all(isinstance(one, ConfirmedConfig) for one in found)
    assert sum(one.shrinkage("val_accuracy") for one in found) / len(found) > 0.05
    assert {one.repeat for one in found} == {0, 1, 2, 3, 4}


def test_a_wrong_place_for_networks_is_told_before_anything_is_registered(
    sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Store(sqlite_url)) as store:
        finished(store, small_sweep(targets=TARGETS))
        with pytest.raises(SystemExit) as ended:
            main(["confirm", "tiny", "--artifacts", "ftp://x", "--storage", sqlite_url])
        assert ended.value.code == 2
        assert "error: artifacts: must be a folder, s3://BUCKET" in capsys.readouterr().err
        assert store.names() == ("tiny",)

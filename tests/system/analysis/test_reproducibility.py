"""Mixtures of machines: refused until measured, and measured by training again."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.databases import on_sqlite
from support.factories import make_fact, make_provenance, make_record, make_sweep
from support.fakes import fake_train, ladder_sweep, small_sweep
from support.html_text import readable
from support.scripts import left_behind, registered_script, script_folder, script_sweep
from sweeper import lifecycle
from sweeper.analysis.reproducibility import (
    TOLERANCE,
    Platform,
    deviation_caveats,
    deviations,
    platform_problems,
)
from sweeper.cli import main
from sweeper.config import Sweep
from sweeper.errors import InputError
from sweeper.operations.reproduce import reproduce
from sweeper.reports.html_page import page
from sweeper.store import Store
from sweeper.trainers import provenance
from sweeper.types import (
    ReproducibilityCheck,
    RetrainedTrial,
    TrialConfig,
    TrialRecord,
    TrialResult,
)
from sweeper.worker.worker_loop import work

CUDA = make_provenance(device="cuda", processor="Some GPU")
OLD = make_provenance(torch="2.14.0")


def mixed(cuda: int = 10, old: int = 0) -> tuple[Sweep, list[TrialRecord]]:
    """A finished sweep, the last trials of which come from other machines."""
    sweep = make_sweep(search={"trials": 20})
    facts = [
        make_fact(sweep=sweep, arm=arm, slot=slot, nonzero=4000 + slot, val=0.97)
        for arm in sweep.arms
        for slot in range(20)
    ]
    for count, origin in ((cuda, CUDA), (old, OLD)):
        places = [n for n, fact in enumerate(facts) if fact.provenance == make_provenance()]
        for place in places[:count]:
            facts[place] = replace(facts[place], provenance=origin)
    return sweep, facts


def again(
    facts: Sequence[TrialRecord], *differences: float, on: Any = None
) -> ReproducibilityCheck:
    """The first facts of another kind than `on` trained again there."""
    here = on or make_provenance()
    foreign = [fact for fact in facts if fact.provenance != here]
    return ReproducibilityCheck(
        here,
        tuple(
            RetrainedTrial(*fact.slot.place, "complete", 4000, 0.97 + difference)
            for fact, difference in zip(foreign, differences, strict=False)
        ),
    )


STEADY = (0.001, -0.001, 0.0005, 0.0, -0.0005, 0.001)
"""Scatters, but its mean is known to within 0.1 points."""


def test_a_mixture_that_nobody_looked_at_is_refused() -> None:
    _, facts = mixed()
    (said,) = platform_problems(facts, (), "toy")
    assert said == (
        "10 of 40 trials come from another kind of machine (Some GPU (cuda), torch 2.15.0, sweeper "
        "0.1.0; others from Some CPU (cpu), torch 2.15.0, sweeper 0.1.0), and what that "
        "changes is not known: sweeper reproduce toy."
    )
    assert platform_problems(mixed(cuda=0)[1], (), "toy") == ()


@pytest.mark.parametrize(
    ("differences", "allowed"),
    [
        (STEADY, True),
        (STEADY[:4], False),  # too few for an interval
        (tuple(value + 2 * TOLERANCE for value in STEADY), False),
        (tuple(10 * value for value in STEADY), False),  # might be anything
    ],
)
def test_it_is_allowed_where_the_difference_is_known_to_be_small(
    differences: tuple[float, ...], allowed: bool
) -> None:
    sweep, facts = mixed()
    check = again(facts, *differences)
    said = platform_problems(facts, [check], "toy")
    assert (said == ()) == allowed
    text = readable(page(make_record(sweep, facts, checks=[check])))
    assert ("These arms are not ranked" in text) != allowed
    assert bool(deviation_caveats(facts, [check])) == allowed
    if not allowed:
        assert "not known to be within 0.2 points" in text
    else:
        assert "trained again, they differ by -0.02 points of validation accuracy (-0.1" in text


def test_it_does_not_matter_which_of_two_kinds_trains_the_others_again() -> None:
    _, facts = mixed()
    one = again(facts, *STEADY)
    other = again(facts, *(-value for value in STEADY), on=CUDA)
    (found,) = deviations(facts, [one])
    (mirrored,) = deviations(facts, [other])
    assert (found.first, found.second) == (mirrored.first, mirrored.second)
    assert found.difference.values == pytest.approx(mirrored.difference.values)
    half = replace(one, redone=one.redone[:3])
    (both,) = deviations(facts, [half, replace(other, redone=other.redone[3:])])
    assert both.difference.values == pytest.approx(found.difference.values)


def test_the_same_trials_trained_again_twice_count_once() -> None:
    """A seed gives the same bits again: a second run would seem to narrow the interval."""
    _, facts = mixed()
    one = again(facts, 0.004, -0.002, 0.003, -0.001, 0.0)
    assert platform_problems(facts, [one], "toy")
    assert platform_problems(facts, [one, one, one], "toy") == platform_problems(
        facts, [one], "toy"
    )
    (found,) = deviations(facts, [one, again(facts, *STEADY)])
    assert np.abs(found.difference.values) == pytest.approx(np.abs(STEADY))  # the last check's


def test_checks_that_disagree_stand_apart() -> None:
    """Pooled, their interval is too narrow: chance alone should be between them."""
    _, facts = mixed()
    first = again(facts, *(value + 0.0008 for value in STEADY[:5]))
    second = again(facts, *(value - 0.0008 for value in STEADY[:5]))
    moved = tuple(replace(one, slot=one.slot + 5) for one in second.redone)
    (found,) = deviations(facts, [first, replace(second, redone=moved)])
    # Oracle: what was put in, each check for itself.
    assert [batch.n for batch in found.batches] == [5, 5]
    put_in = [np.mean(STEADY[:5]) + 0.0008, np.mean(STEADY[:5]) - 0.0008]
    sign = 1 if found.second == Platform.of(make_provenance()) else -1
    assert [sign * batch.center for batch in found.batches] == pytest.approx(put_in)
    assert re.search(r", n = 10\), by check [+-]0\.\d\d \(.*n = 5\), [+-]0\.\d\d \(", found.text)
    (alone,) = deviations(facts, [first])
    assert "by check" not in alone.text


def test_every_kind_is_compared_with_the_usual_one() -> None:
    _, facts = mixed(cuda=8, old=8)
    assert len(platform_problems(facts, (), "toy")) == 2
    (left,) = platform_problems(facts, [again(facts, *STEADY)], "toy")
    assert "torch 2.14.0" in left


def test_one_that_diverged_when_trained_again_counts_as_wrong() -> None:
    _, facts = mixed()
    check = again(facts, *STEADY)
    worse = replace(check.redone[0], state="diverged", nonzero=0, val_accuracy=0.0)
    (found,) = deviations(facts, [replace(check, redone=(worse, *check.redone[1:]))])
    assert max(map(abs, found.difference.values)) == pytest.approx(0.97)
    assert not found.small


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have this machine be one with another torch from now on."""
    gather = provenance.gather_provenance

    def begin() -> None:
        def changed(**options: Any) -> Any:
            return replace(gather(**options), torch="9.9.9")

        monkeypatch.setattr("sweeper.trainers.pack_trainer.gather_provenance", changed)

    return begin


@pytest.mark.parametrize("sweep", [small_sweep(), ladder_sweep(search={"trials": 3})])
@on_sqlite
def test_trials_are_trained_again_and_put_on_record(
    store: Store, elsewhere: Any, sweep: Sweep
) -> None:
    lifecycle.register(store, sweep)
    work("tiny", store, pack=4, train=fake_train)
    elsewhere()
    seen: list[TrialConfig] = []

    def train(
        configs: Sequence[TrialConfig], data: Any, device: str, **options: Any
    ) -> list[TrialResult]:
        seen.extend(configs)
        return fake_train(configs, data, device, **options)

    check = reproduce("tiny", store, trials=6, train=train)
    assert store.reproducibility_checks("tiny") == (check,)
    facts = {fact.place: fact for fact in store.records("tiny")}
    chosen = [facts[one.place] for one in check.redone]
    assert sorted(map(repr, seen)) == sorted(repr(fact.config) for fact in chosen)
    assert {fact.result.state for fact in chosen} <= {"complete", "collapsed"}
    assert len({fact.slot.number for fact in chosen}) > 1  # spread over the sweep
    for fact, one in zip(chosen, check.redone, strict=True):
        network = fact.result.pruned
        assert network is not None
        assert (one.nonzero, one.val_accuracy) == (network.nonzero, network.val_accuracy)
    (found,) = deviations(store.records("tiny"), store.reproducibility_checks("tiny"))
    assert found.difference.center == 0
    assert found.small
    dump = store.dump("tiny")
    assert len(dump.drifts) == 1
    lifecycle.delete(store, "tiny")
    lifecycle.restore(store, dump)
    assert store.reproducibility_checks("tiny") == (check,)


@on_sqlite
def test_each_run_trains_trials_that_no_other_did(store: Store, elsewhere: Any) -> None:
    lifecycle.register(store, small_sweep())
    work("tiny", store, pack=4, train=fake_train)
    elsewhere()
    checks = [reproduce("tiny", store, trials=8, train=fake_train) for _ in range(3)]
    places = [one.place for check in checks for one in check.redone]
    assert len(places) == len(set(places)) == 18
    with pytest.raises(InputError, match=r"all 18 trials of other machines were trained again on"):
        reproduce("tiny", store, train=fake_train)


@on_sqlite
def test_without_trials_of_others_there_is_nothing_to_check(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    lifecycle.register(store, small_sweep())
    work("tiny", store, pack=9, train=fake_train)
    with pytest.raises(
        InputError, match=r"^tiny: all 18 trials on record come from a machine like"
    ):
        reproduce("tiny", store, train=fake_train)
    assert store.reproducibility_checks("tiny") == ()
    with pytest.raises(SystemExit) as ended:
        main(["reproduce", "nobody", "--storage", store.url])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: no such sweep: got 'nobody'")


def test_kinds_are_what_results_may_depend_on() -> None:
    usual = partial(make_provenance)
    same = [usual(host="other"), usual(git_commit="f" * 40), usual(python="3.12.1")]
    assert {Platform.of(one) for one in same} == {Platform.of(usual())}
    others = [usual(device="cuda"), usual(processor="B"), usual(torch="2.1"), usual(sweeper="9")]
    assert len({Platform.of(one) for one in others} | {Platform.of(usual())}) == 5
    assert str(Platform.of(usual(processor=""))) == "cpu, torch 2.15.0, sweeper 0.1.0"


def test_a_difference_that_is_rounded_to_nothing_has_no_minus_sign() -> None:
    _, facts = mixed()
    (found,) = deviations(facts, [again(facts, *(value / 1000 for value in STEADY))])
    assert found.difference.center < 0
    assert found.text == "+0.00 points of validation accuracy (+0.00 to +0.00, n = 6)"


def test_a_script_is_trained_again_in_folders_of_its_own(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
        def train(trial):
            with (trial.folder / "calls").open("a") as file:
                file.write("once ")
            return {"size": 10, "validation": trial.params["rate"] / 2, "test": 0.5}
    """
    with script_folder(tmp_path, script):
        store = registered_script(sqlite_url, script_sweep())
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr("sweeper.trainers.provenance.cpu_name", lambda: "Another CPU")
            work("tiny", store, device="cpu")
        check = reproduce("tiny", store, trials=3, device="cpu")
    records = {record.place: record.result for record in store.records("tiny")}
    store.close()
    assert len(check.redone) == 3
    for trial in check.redone:
        before = records[trial.place].pruned
        assert before is not None
        assert (trial.nonzero, trial.val_accuracy) == (10, before.val_accuracy)
    calls = [file.read_text() for file in (tmp_path / "sweeps/tiny/trials").rglob("calls")]
    assert calls == ["once "] * 4
    assert left_behind(str(tmp_path)) == []

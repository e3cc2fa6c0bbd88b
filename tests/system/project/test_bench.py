"""The benchmarks run, and their contestants do the same work. No time is tested."""

import dataclasses
import json
import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

import floor
import handwritten
import throughput
from support.paths import TESTS
from sweeper.training.datasets import load
from work import Work

BENCH = TESTS / "bench"


def run(*options: str, program: str = "throughput.py") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCH / program), *options],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def measured(*options: str, program: str = "throughput.py") -> Any:
    done = run("--quick", "--json", *options, program=program)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_ours_and_the_hand_written_loop_train_the_same_networks() -> None:
    found = measured("--part", "rates", "--only", "ours,loop,ladder,jax")["rates"]
    ours, loop, ladder, jax = found
    assert [one["name"] for one in found] == ["ours", "loop", "ladder", "jax"]
    assert ours["trials"] == 4 * loop["trials"] > 0
    assert ladder["trials"] % handwritten.RUNGS == 0
    assert abs(ladder["difference"]) < 0.01  # of the first of each five
    if jax["skipped"]:
        assert jax["skipped"] == "not installed: pip install 'sweeper[bench]'"
        found.remove(jax)
    assert not loop["differs"]
    assert abs(loop["difference"]) < 0.005  # sums in another order, on trials of equal slots
    for one in found:
        assert 0 < one["seconds"] <= one["total_seconds"]
        assert one["as_trained"] > 0.9


@pytest.mark.slow
def test_a_ladder_trains_once_for_all_its_densities() -> None:
    trials = Work("digits", epochs=2, finetune_epochs=1).configs(3)
    hand = handwritten.Loop(load("digits"))
    rungs = [*hand.climb(list(enumerate(trials)))]
    assert rungs[0] == dataclasses.replace(
        hand.run(0, trials[0]), began=rungs[0].began, ended=rungs[0].ended
    )
    assert {rung.as_trained for rung in rungs} == {rungs[0].as_trained}
    assert len({rung.pruned.nonzero for rung in rungs}) == 3
    assert all(one.ended <= other.began for one, other in pairwise(rungs))


@pytest.mark.slow
def test_a_stacked_loop_in_jax_trains_the_networks_of_the_hand_written_one() -> None:
    # Oracle: the hand-written loop; sums are taken in another order.
    pytest.importorskip("jax", reason="needs the extra `bench`")
    import stacked_jax

    trials = [*enumerate(Work("digits", epochs=4, finetune_epochs=1).configs(3))]
    data = load("digits")
    loop, hand = stacked_jax.StackedLoop(data, trials[0][1], "cpu"), handwritten.Loop(data)
    for pack in (1, 2):
        loop.pack = pack
        for trial in loop.run(trials):
            expected = hand.run(trial.slot, trials[trial.slot][1])
            for one, other in ((trial.pruned, expected.pruned),
                               (trial.as_trained, expected.as_trained)):  # fmt: skip
                assert one.nonzero == pytest.approx(other.nonzero, rel=0.01)
                assert one.test == pytest.approx(other.test, abs=0.02)


@pytest.mark.slow
def test_the_other_parts_give_every_figure() -> None:
    step = measured("--part", "step")["step"]
    assert [one["pack"] for one in step["packs"]] == [1, 16]
    assert all(one[key] > 0 for one in step["packs"] for key in ("plain", "l1", "products"))
    growth = measured("--part", "growth")["growth"]
    assert [one["arms"] for one in growth["arms"]] == [1, 4, 16]
    assert {one["sampler"] for one in growth["bookkeeping"]} == {"qmc", "tpe"}


def test_the_floor_multiplies_as_often_however_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    def noted(left: Tensor, right: Tensor, out: Tensor) -> None:
        torch.matmul(left, right, out=out)
        taken.append(2 * out.numel() * left.shape[-1])

    for name in ("mm", "bmm"):
        monkeypatch.setattr(torch, name, noted)
    monkeypatch.setattr(floor, "_faster", noted)
    for way in ("stacked", "wide", "single", "faster"):
        taken.clear()
        floor.products(3, (20, 12, 8), 5, "cpu", way)()
        assert sum(taken) == 3 * floor.flops((20, 12, 8), 5), way


@pytest.mark.slow
@pytest.mark.postgres
def test_what_the_database_costs_is_measured_beside_plain_optuna() -> None:
    found = measured("--part", "phases", "--workers", "2", program="storage.py")["phases"]
    assert [one["side"] for one in found] == [
        "plain Optuna",
        "ours, packs of 1",
        "ours, packs of 4",
    ]
    for one in found:
        assert (one["workers"], one["trials"]) == (2, 16)
        assert one["milliseconds"] > 0
        assert one["phases"]
    ladders = measured("--part", "ladders", "--workers", "2", program="storage.py")["ladders"]
    assert [(one["side"], one["rungs"], one["trials"]) for one in ladders] == [
        ("plain Optuna", 8, 64),
        ("ours, packs of 1", 8, 64),
        ("ours, packs of 4", 8, 64),
    ]


@pytest.mark.slow
def test_what_looking_costs_is_measured_beside_optunas_dashboard() -> None:
    stock, ours = measured("--sqlite", program="dashboard.py")
    assert (stock["server"], ours["server"]) == ("stock", "ours")
    for part, poll in (("first", "/api/studies/ID?after=0"), ("polls", "/api/studies/ID?after=20")):
        assert stock[part].keys() < ours[part].keys()  # ours has pages of its own
        for one in (stock, ours):
            assert one[part][poll]["statuses"] == [200]
            assert 0 < one[part][poll]["p50"] <= one[part][poll]["p95"]
    assert {"nobody", "Optuna's poll"} <= stock["writer"].keys() < ours["writer"].keys()
    assert all(rate > 0 for one in (stock, ours) for rate in one["writer"].values())


@pytest.mark.slow
@pytest.mark.postgres
def test_the_cost_between_two_trials_is_measured_beside_optuna() -> None:
    found = measured(program="scripts.py")
    assert [(one["side"], one["trials"]) for one in found["sides"]] == [
        ("plain Optuna", 6),
        ("sweeper", 6),
    ]
    for one in found["sides"]:
        assert 0 < one["overhead"] < 1
        assert 0.3 <= one["lasted"] < 60  # both wait as long as they are asked to
    assert all(value > 0 for value in found["nanoseconds"].values())


@pytest.mark.slow
def test_our_modules_and_those_of_plain_pytorch_compute_the_same() -> None:
    found = measured("--pack", "1", "LeNet-5", "convnet", program="modules.py")
    assert [one["name"] for one in found] == ["LeNet-5", "convnet"]
    for one in found:
        assert one["difference"] < 1e-2
        ours, plain = one["nonzero"]
        assert ours == plain > 0
        assert all(value > 0 for key in ("step", "trial") for value in one[key].values())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--only", "ours,lop"), "--only: no such contestant: lop"),
        (("--gpu-full",), "--gpu-full: needs --device cuda"),
        (("--part", "all of it"), "invalid choice"),
    ],
)
def test_a_wrong_option_is_said(
    options: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["throughput.py", *options])
    with pytest.raises(SystemExit) as ended:
        throughput.parse()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_a_start_and_a_prediction_are_measured() -> None:
    [one] = measured(program="start.py")
    assert one["name"] == "quickstart"
    assert [*one["phases"]][-1] == "first step"
    assert all(seconds >= 0 for seconds in one["phases"].values())
    assert min(one[key] for key in ("predicted", "wall", "busy")) > 0

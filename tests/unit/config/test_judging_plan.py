"""Judging plans: a fifth of the training, by counts alone; committed studies keep their curves."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.packs import RECIPE
from support.paths import ROOT
from sweeper.config import Sweep
from sweeper.config.judging_plan import (
    LEAST,
    SHARE,
    STATISTICS,
    JudgingPlan,
    PartSizes,
    judging_plan,
    point_cost,
    step_cost,
)
from sweeper.config.sparsification import Sparsification
from sweeper.types import SharedConfig

DEFAULT_CURVE = Sparsification().curve
STUDIES = sorted((ROOT / "studies").glob("lenet300*.yaml"))
MNIST = PartSizes(50_000, 10_000, 10_000)


def recipe(epochs: int, finetune: int, **changes: object) -> SharedConfig:
    usual: dict[str, object] = {"epochs": epochs, "finetune_epochs": finetune, "batch_size": 128}
    usual |= {"curve": DEFAULT_CURVE, "finetuned_curve": ()}
    return dataclasses.replace(RECIPE, **{**usual, **changes})  # type: ignore[arg-type]


def cost(plan: JudgingPlan, recipe: SharedConfig, *, is_mlp: bool) -> float:
    """Count all judging, one judgement after the other."""
    total = 0.0
    for seen in (plan.whole, plan.whole):
        total += seen.validation + seen.test + seen.statistics
    for density in recipe.curve:
        each = point_cost(density, is_mlp=is_mlp)
        total += each * (plan.curve.validation + plan.curve.test) + plan.curve.statistics
    for _ in recipe.finetuned_curve:
        total += plan.finetuned.validation + plan.finetuned.test + plan.finetuned.statistics
    return total


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_committed_studies_keep_whole_curves(path: object) -> None:
    sweep = Sweep.load(str(path))
    data = sweep.data
    plan = judging_plan(
        sweep.recipe(0),
        PartSizes(data.train, data.validation, data.test),
        is_mlp=sweep.model.hidden is not None,
    )
    assert plan.is_whole(plan.curve)
    assert plan.is_whole(plan.finetuned)
    assert plan.judging_passes <= SHARE * plan.training_passes


def test_a_short_training_of_convolutions_has_smaller_curves_within_a_fifth() -> None:
    plan = judging_plan(recipe(1, 1), MNIST, is_mlp=False)
    # 2 x 390 steps of 128 examples, three passes each; a fifth less twice 20,000, by 20 points.
    assert plan.training_passes == 2 * 390 * 128 * 3
    assert plan.curve.validation == plan.curve.test == (59_904 - 40_000) // 20 // 2
    assert 0.19 < plan.judging_passes / plan.training_passes <= SHARE
    assert not plan.is_whole(plan.curve)
    assert judging_plan(recipe(1, 1), MNIST, is_mlp=True).curve.judged > 2 * plan.curve.judged


def test_what_is_seen_does_not_depend_on_the_speed_of_sparse_steps() -> None:
    for epochs in (1, 4):
        sparse, dense = (
            judging_plan(recipe(epochs, 1, finetuned_curve=(density,)), MNIST, is_mlp=True)
            for density in (0.01, 0.9)
        )
        assert (sparse.whole, sparse.curve, sparse.finetuned) == (
            dense.whole,
            dense.curve,
            dense.finetuned,
        )
        assert (sparse.learning, sparse.judging_passes) == (dense.learning, dense.judging_passes)
        epoch = 390 * 128 * 3
        assert dense.training_passes == (epochs + 2) * epoch
        assert dense.training_passes - sparse.training_passes == pytest.approx(dense.saved(0.01))
        assert dense.saved(0.01) == pytest.approx(epoch * (1 - step_cost(0.01, is_mlp=True)))
        assert 0.8 * epoch < dense.saved(0.01)


@pytest.mark.parametrize("is_mlp", [True, False])
def test_steps_cost_less_by_density_for_mlps_alone(is_mlp: bool) -> None:
    costs = [step_cost(density / 100, is_mlp=is_mlp) for density in range(1, 101)]
    assert costs == sorted(costs)
    assert costs[-1] == 1.0
    assert (costs[0] < 0.1) == is_mlp


def test_the_shortest_trainings_judge_some_hundred_examples_and_miss_the_fifth() -> None:
    plan = judging_plan(recipe(1, 0), MNIST, is_mlp=False)
    assert (plan.curve.validation, plan.curve.test) == (LEAST, LEAST)
    assert plan.judging_passes / plan.training_passes == pytest.approx(0.33, abs=0.005)


def test_running_statistics_count_as_judging() -> None:
    with_them, without = (
        judging_plan(recipe(3, 1), MNIST, is_mlp=False, has_statistics=has) for has in (True, False)
    )
    assert with_them.whole.statistics == STATISTICS
    assert with_them.curve.judged + with_them.curve.statistics == pytest.approx(
        without.curve.judged - 2 * STATISTICS / 20, abs=2
    )


@given(
    epochs=st.integers(1, 60),
    finetune=st.integers(0, 60),
    train=st.integers(1, 60_000),
    validation=st.integers(1, 10_000),
    test=st.integers(1, 10_000),
    densities=st.lists(st.floats(0.001, 1.0), max_size=25),
    further=st.integers(0, 5),
    is_mlp=st.booleans(),
    has_statistics=st.booleans(),
)
def test_judging_takes_a_fifth_unless_it_is_the_least(
    epochs: int,
    finetune: int,
    train: int,
    validation: int,
    test: int,
    densities: list[float],
    further: int,
    is_mlp: bool,
    has_statistics: bool,
) -> None:
    # Oracle: the judgements counted one by one.
    chosen = recipe(
        epochs, finetune, curve=tuple(densities), finetuned_curve=(0.1,) * further * bool(finetune)
    )
    plan = judging_plan(
        chosen,
        PartSizes(train, validation, test),
        is_mlp=is_mlp,
        has_statistics=has_statistics,
    )
    total = cost(plan, chosen, is_mlp=is_mlp)
    assert plan.judging_passes == pytest.approx(total)
    for seen in (plan.curve, plan.finetuned):
        assert min(LEAST, validation) <= seen.validation <= validation
        assert min(LEAST, test) <= seen.test <= test
        assert seen == plan.whole or seen.statistics <= seen.judged
    held = min(LEAST, validation) < plan.curve.validation and min(LEAST, test) < plan.curve.test
    if held and plan.curve.validation < validation and densities:
        alone = dataclasses.replace(chosen, finetuned_curve=())
        training = 3 * 128 * (train // 128) * (epochs + finetune)
        assert cost(plan, alone, is_mlp=is_mlp) <= SHARE * training * (1 + 1e-9)

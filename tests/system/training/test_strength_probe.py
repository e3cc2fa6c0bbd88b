"""Probes that train: every formula in each of its ways, over the range that its probe finds."""

import dataclasses

import pytest

from support.packs import RECIPE, config, every_method
from sweeper.analysis.strength_range import GRID, range_from_probe
from sweeper.config.registry import METHODS
from sweeper.errors import Interrupted
from sweeper.training.datasets import Data, load
from sweeper.training.pack import train_pack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.strength_probe import probe_strengths, push
from sweeper.types import MethodConfig

SHORT = dataclasses.replace(
    RECIPE, model_options=(("widths", (12,)),), epochs=3, finetune_epochs=1, curve=()
)
SEARCHED = [
    one
    for one in every_method()
    if one.terms or METHODS.get(one.name, METHODS["small_dense"]).has_strength
]


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


def at(method: MethodConfig, strength: float) -> MethodConfig:
    if not method.terms:
        return dataclasses.replace(method, own_strength=strength)
    terms = tuple(dataclasses.replace(term, strength=strength) for term in method.terms)
    return dataclasses.replace(method, terms=terms)


@pytest.mark.parametrize(
    "method",
    [one for one in SEARCHED if len(one.terms) < 2],
    ids=lambda m: f"{m.terms[0].penalty}-{m.terms[0].apply}" if m.terms else m.name,
)
def test_every_way_trains_over_the_whole_range_of_its_probe(
    digits: Data, method: MethodConfig
) -> None:
    one = config(1, at(method, 1.0), recipe=SHORT, floor=0.3, density=1.0)
    points, _ = probe_strengths(one, digits)
    assert [point.strength for point in points] == sorted(point.strength for point in points)
    assert len(points) == len(GRID) + 1
    assert points[0].strength == points[0].moved == 0
    bracket = range_from_probe(points, 0.0)
    inside = [p.strength for p in points if bracket.low <= p.strength <= bracket.high]
    ends = [bracket.low, *inside, bracket.high]
    # Twice as long as the probe, other weights and other data order: still no NaN.
    longer = dataclasses.replace(SHORT, epochs=6, order_seed=3)
    pack = [config(4, at(method, s), recipe=longer, floor=0.0) for s in ends]
    assert {result.state for result in train_pack(pack, digits)} == {"complete"}
    # From where it does nothing: the weakest hardly moves the network, the strongest does.
    moved = [p.moved for p in points if p.state == "complete" and p.strength > 0]
    assert moved[-1] > 2 * moved[0]


def test_a_probe_is_the_same_twice_and_ticks(digits: Data) -> None:
    method = at(every_method()[1], 1.0)
    one = config(1, method, recipe=dataclasses.replace(SHORT, epochs=1), floor=0.1)
    ticks = 0

    def tick(share: float | None = None) -> None:
        nonlocal ticks
        ticks += 1

    first, _ = probe_strengths(one, digits, tick=tick)
    again, _ = probe_strengths(one, digits)
    assert first == again
    assert ticks > 1137 // 32

    def stop(share: float | None = None) -> None:
        raise Interrupted("asked to stop")

    with pytest.raises(Interrupted):
        probe_strengths(one, digits, tick=stop)


def test_push_is_the_mean_slope_at_the_first_weights(digits: Data) -> None:
    network = StackedArchitecture.of(SHORT, digits)
    stack = network.init([1], SHORT, digits)
    methods = {one.terms[0].penalty: at(one, 1.0) for one in every_method() if len(one.terms) == 1}
    assert push(methods["l1"], network, stack) == pytest.approx(1.0)
    magnitudes = [stack[name].abs().sum().item() for name in network.weights]
    count = sum(stack[name].numel() for name in network.weights)
    assert push(methods["l2"], network, stack) == pytest.approx(2 * sum(magnitudes) / count)
    assert push(MethodConfig((), "l0_hard_concrete"), network, stack) == 1.0

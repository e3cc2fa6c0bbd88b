"""The same small training by a pack of the service and by a plain loop gives the same networks.

A convolution and two layers behind it, from the same initial weights, along the same batches, with
momentum and weight decay: 16 steps with a penalty, then pruned and trained on for 8. In float64
nothing but rounding parts the two. In float32, the precision of the service and of its compiled
loops, as much may part them as parts the plain loop from itself in float64, times 8.
"""

import dataclasses

import pytest
import torch

from support.plain_training import Network, PlainLoop, by_packs, term
from sweeper.config.registry import FORMULAS
from sweeper.types import PenaltyConfig, Track

STRENGTH, DENSITY = 2**-10, 0.25
ROUNDING = {torch.float64: 1e-12, torch.float32: 2**-21}
LINES = {"l2 prox", "elastic_net prox"}
"""What packs have their optimizer apply with constants that are float32 in float64, too."""
PRECISIONS = (torch.float64, torch.float32)
TRACKS: tuple[Track, ...] = ("as_trained", "pruned")
Terms = tuple[PenaltyConfig, ...]

SUM = (
    dataclasses.replace(term("l1", "prox", STRENGTH), during=(0.0, 0.6)),
    dataclasses.replace(term("l2", "prox", STRENGTH), ramp=0.5),
    dataclasses.replace(term("marginal_entropy", "shrink", STRENGTH), during=(0.5, 1.0)),
    term("hoyer_square", "loss", STRENGTH),
)
SCHEDULED: dict[str, Terms] = {
    way: (term(name, way, STRENGTH, during=(0.5, 1.0), ramp=0.5),)
    for way, name in {
        "loss": "joint_entropy",
        "decoupled": "log_sum",
        "shrink": "l1_marginal_entropy",
        "prox": "transformed_l1",
    }.items()
}
UNDER_ADAM = {
    "loss": "hoyer_square",
    "decoupled": "log_sum",
    "shrink": "l1_joint_entropy",
    "prox": "l_half",
}
OF_ADAM = 2**-17
"""What the constants of Adam, float32 in packs, make of weights in 24 steps of 2^-9."""
SHUFFLED: dict[str, Terms] = {
    f"{name} {way}": (term(name, way, STRENGTH, shuffled=True),)
    for name, way in (
        ("marginal_entropy", "loss"),
        ("local_entropy", "decoupled"),
        ("tile_entropy", "shrink"),
        ("group_lasso", "prox"),
    )
}


def gap(left: Network, right: Network) -> float:
    """Return the largest difference between two networks."""
    assert left.keys() == right.keys()
    return max(float((left[name].double() - right[name].double()).abs().max()) for name in left)


def zeros(network: Network) -> dict[str, list[int]]:
    return {
        name: (value == 0).flatten().nonzero().flatten().tolist() for name, value in network.items()
    }


def assert_same(arms: dict[str, Terms], optimizer: str = "sgd", constants: float = 0.0) -> None:
    """Train each arm both ways, in both precisions, and compare the networks of both tracks."""
    plain = {
        (label, dtype): PlainLoop(terms, dtype, optimizer).run(DENSITY)
        for dtype in PRECISIONS
        for label, terms in arms.items()
    }
    dense = PlainLoop((), torch.float64, optimizer).run(DENSITY)
    for dtype in PRECISIONS:
        packs = by_packs([*arms.values()], dtype, DENSITY, optimizer)
        for label, packed in zip(arms, packs, strict=True):
            for track in TRACKS:
                loop, exact = (plain[label, number][track] for number in (dtype, torch.float64))
                bound = ROUNDING[torch.float32 if label in LINES else dtype]
                bound += 8 * gap(loop, exact) + constants
                assert gap(packed[track], loop) <= bound, (label, track, dtype)
                assert zeros(packed[track]) == zeros(loop), (label, track, dtype)
                # Nor are they what training without a penalty gives.
                assert gap(loop, dense[track]) > 20 * bound, (label, track, dtype)


@pytest.mark.parametrize("name", [name for name in FORMULAS if name != "none"])
def test_a_plain_loop_gives_the_networks_of_a_pack_in_every_way(name: str) -> None:
    ways = FORMULAS[name].modes
    assert_same({f"{name} {way}": (term(name, way, STRENGTH),) for way in ways})


def test_so_does_a_sum_of_penalties_each_in_its_time() -> None:
    assert_same({"sum": SUM})


def test_so_do_penalties_that_rest_and_rise() -> None:
    assert_same(SCHEDULED)


def test_so_do_shuffled_controls() -> None:
    assert_same(SHUFFLED)


def test_so_they_do_under_adamw() -> None:
    arms = {way: (term(name, way, STRENGTH),) for way, name in UNDER_ADAM.items()}
    assert_same({**arms, "sum": SUM}, "adamw", OF_ADAM)


def test_a_pack_and_a_plain_loop_without_a_penalty_agree() -> None:
    for dtype in PRECISIONS:
        (packed,) = by_packs([()], dtype, DENSITY)
        loop = PlainLoop((), dtype).run(DENSITY)
        for track in TRACKS:
            assert gap(packed[track], loop[track]) <= ROUNDING[dtype]
            assert zeros(packed[track]) == zeros(loop[track])

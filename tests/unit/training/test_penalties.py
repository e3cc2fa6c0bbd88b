"""Penalties that act for a part of the training, and rise."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from support.packs import config, facts, penalty, setting, stack_of
from support.study_text import SMALL
from support.study_text import load as load_sweep
from sweeper.config import Sweep
from sweeper.store.trial_records import config_of, config_row
from sweeper.training.datasets import Data, load
from sweeper.training.pack import train_pack
from sweeper.training.penalties import Penalties, PenaltyState, penalties, schedule_factor
from sweeper.types import MethodConfig, PenaltyConfig

WAYS = {"loss": "hoyer", "decoupled": "log_sum", "shrink": "marginal_entropy", "prox": "l_half"}


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


def timed(one: MethodConfig, during: tuple[float, float], ramp: float = 0.0) -> MethodConfig:
    terms = tuple(dataclasses.replace(term, during=during, ramp=ramp) for term in one.terms)
    return dataclasses.replace(one, terms=terms)


@given(st.integers(1, 300), st.integers(0, 99), st.integers(1, 100), st.floats(0, 1), st.booleans())
def test_a_share_is_0_outside_and_rises_to_1_within(
    steps: int, begin: int, length: int, ramp: float, rises: bool
) -> None:
    during = begin / 100, min(begin + length, 100) / 100
    term = PenaltyConfig("l1", "prox", 1.0, during=during, ramp=ramp if rises else 0.0)
    shares = [schedule_factor(term, step, steps) for step in range(steps)]
    inside = [during[0] * steps <= step < during[1] * steps for step in range(steps)]
    assert [share > 0 for share in shares] == inside
    acting = [share for share in shares if share]
    assert acting == sorted(acting)
    assert all(share <= 1 for share in acting)
    # Whole from the end of its rise on.
    risen = (during[0] + term.ramp * (during[1] - during[0])) * steps
    whole = [share for step, share in enumerate(shares) if step >= risen and inside[step]]
    assert set(whole) <= {1.0}
    assert term.step_invariant == (during == (0.0, 1.0) and term.ramp == 0)


def test_one_that_rises_all_the_time_does_so_in_equal_parts() -> None:
    term = PenaltyConfig("l1", "prox", 1.0, during=(0.5, 1.0), ramp=1.0)
    assert [schedule_factor(term, step, 8) for step in range(8)] == [
        0,
        0,
        0,
        0,
        0.25,
        0.5,
        0.75,
        1.0,
    ]


@pytest.mark.parametrize(("way", "name"), WAYS.items())
def test_at_each_step_it_is_the_penalty_with_that_share_of_its_strength(
    way: str, name: str
) -> None:
    # Oracle: the same penalty at every step, with the strength that it should have then.
    weight, strength, rate = stack_of(2, 6, 5), 0.5, torch.full((2,), 0.1)
    shares = [0.0, 0.0, 0.5, 1.0, 1.0, 0.0, 0.0, 0.0]
    one = timed(penalty(name, way, strength), (0.25, 0.625), 2 / 3)

    def start(chosen: MethodConfig) -> tuple[Penalties, PenaltyState]:
        acting = penalties([chosen.terms] * 2, weight.device)
        return acting, acting.start({"a": weight}, setting(2, steps=8))

    made, state = start(one)
    found, wanted = {"a": weight.clone()}, {"a": weight.clone()}
    for share in shares:
        oracle, own = start(penalty(name, way, share * strength))
        gradients = [{"a": torch.zeros_like(weight)} for _ in range(2)]
        made.add_gradients(found, gradients[0], state)
        oracle.add_gradients(wanted, gradients[1], own)
        torch.testing.assert_close(gradients[0]["a"], gradients[1]["a"])
        assert bool(gradients[0]["a"].any()) == (way == "loss" and share > 0)
        before = found["a"].clone()
        made.after(found, state, rate)
        oracle.after(wanted, own, rate)
        torch.testing.assert_close(found["a"], wanted["a"])
        assert torch.equal(before, found["a"]) == (way == "loss" or share == 0)


def test_one_that_acts_all_the_time_is_the_usual_one_bit_for_bit(digits: Data) -> None:
    for one in (penalty("l1", "prox", 3e-3), penalty("marginal_entropy", "shrink", 3e-4)):
        again = train_pack([config(0, timed(one, (0, 1)))], digits)
        assert facts(train_pack([config(0, one)], digits)) == facts(again)


def test_l1_at_the_end_alone_leaves_zeros_and_at_the_beginning_alone_none(digits: Data) -> None:
    one = penalty("l1", "prox", 0.05)
    chosen = [one, timed(one, (0.5, 1)), timed(one, (0, 0.5)), penalty("l1", "prox", 0.0)]
    judged = [train_pack([config(0, each)], digits)[0].as_trained for each in chosen]
    always, late, early, never = (network.nonzero for network in judged if network)
    assert always <= late < early
    assert early > 0.9 * never


def test_each_has_its_own_time_in_a_pack(digits: Data) -> None:
    one = penalty("marginal_entropy", "shrink", 0.05)
    times = ((0.0, 1.0), 0.0), ((0.0, 0.5), 0.0), ((0.5, 1.0), 0.0), ((0.5, 1.0), 1.0)
    chosen = [config(0, timed(one, *time)) for time in times]
    together = facts(train_pack(chosen, digits))
    assert together == [facts(train_pack([alone], digits))[0] for alone in chosen]
    assert len({str(result.as_trained) for result in together}) == len(times)


def test_it_is_on_record_and_older_records_are_read(digits: Data) -> None:
    usual = config(0, penalty("l1", "prox"))
    for one in (usual, config(0, timed(penalty("l1", "prox"), (0.25, 1.0), 0.5))):
        assert config_of(json.loads(json.dumps(config_row(one)["config"]))) == one
    older = json.loads(json.dumps(config_row(usual)["config"]))
    for term in older["method"]["terms"]:
        del term["during"], term["ramp"]
    assert config_of(older) == usual


def test_a_file_without_it_keeps_its_digest_and_one_with_it_is_another_question(
    tmp_path: Path,
) -> None:
    def sweep_of(keys: str) -> Sweep:
        text = SMALL.replace("dense: {}", f"a: {{penalty: l1, strength: 1{keys}}}")
        return load_sweep(tmp_path, text)

    plain = sweep_of("")
    assert "during" not in json.dumps(plain.model_dump())
    seen = {plain.digest}
    for keys in ("during: [0, 0.5]", "during: [0.5, 1]", "during: [0.5, 1], ramp: 0.5"):
        sweep = sweep_of(f", {keys}")
        seen.add(sweep.digest)
        (term,) = sweep.arms["a"].config({}).terms
        assert f"{term.during[0]:g}" in keys
    assert len(seen) == 4

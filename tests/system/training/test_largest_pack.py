"""The largest pack, and the memory that a network of one takes."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from support.memory_cases import trials
from support.packs import every_method, facts, method, penalty, small_images
from sweeper.training import largest_pack, memory
from sweeper.training.checkpoint import Keep
from sweeper.training.memory import estimated, measured, needed
from sweeper.training.pack import train_pack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.types import TrialConfig


@pytest.mark.parametrize(
    ("times", "size"),
    [
        ({1: 3.0}, 1),
        ({1: 3.0, 2: 2.0, 4: 1.02, 8: 1.0, 16: 1.0}, 4),
        ({1: 3.0, 2: 2.0, 4: 1.04, 8: 1.0, 16: 1.0}, 8),
        ({1: 1.0, 2: 1.1, 4: 0.98, 8: 1.5}, 1),
    ],
)
def test_the_smallest_pack_within_three_percent_of_the_best_is_taken(
    times: dict[int, float], size: int
) -> None:
    assert largest_pack.fastest(times) == size


def test_a_pack_fits_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(largest_pack, "fastest", max)  # whatever is tried
    data, configs = small_images(), trials(penalty("l1", "prox"))
    each = needed(configs, data)
    for room, size in ((0, 1), (each, 1), (2 * each, 2), (4 * each - 1, 2), (9 * each, 8)):
        found = largest_pack.choose(configs, data, room)
        assert (found.pack, found.memory) == (size, each)


def test_packs_grow_as_long_as_there_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    data, [one] = small_images(), trials(penalty("l1", "prox"))
    network = StackedArchitecture.of(one.recipe, data)
    monkeypatch.setattr(largest_pack, "MAX_ROUNDS", 1)
    for seconds, sizes in ((0.0, [1]), (1e9, [1, 2, 4, 8])):
        monkeypatch.setattr(largest_pack, "PROBE_SECONDS", seconds)
        times = largest_pack.step_times(one, network, data, (1, 2, 4, 8))
        assert list(times) == sizes
        assert all(seconds > 0 for seconds in times.values())


def test_measuring_is_short_beside_what_is_to_be_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    data, [one] = small_images(), trials(penalty("l1", "prox"))
    network = StackedArchitecture.of(one.recipe, data)
    for name, value in (("MAX_ROUNDS", 1), ("PROBE_SECONDS", 1e9), ("LEAST_SECONDS", 0.0)):
        monkeypatch.setattr(largest_pack, name, value)
    for steps, sizes in ((0, [1]), (1e12, [1, 2, 4, 8])):
        times = largest_pack.step_times(one, network, data, (1, 2, 4, 8), steps)
        assert list(times) == sizes


def test_memory_that_runs_out_for_a_large_pack_leaves_the_times_of_smaller_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, [one] = small_images(), trials(penalty("l1", "prox"))
    network = StackedArchitecture.of(one.recipe, data)
    monkeypatch.setattr(largest_pack, "MAX_ROUNDS", 1)
    monkeypatch.setattr(largest_pack, "PROBE_SECONDS", 1e9)
    real = largest_pack._stepper

    def narrow(*given: Any) -> Any:
        if given[-1] > most:
            torch.empty(2**50, dtype=torch.uint8)
        return real(*given)

    monkeypatch.setattr(largest_pack, "_stepper", narrow)
    for most, sizes in ((1, [1]), (4, [1, 2, 4])):  # noqa: B007
        assert list(largest_pack.step_times(one, network, data, (1, 2, 4, 8))) == sizes
    most = 0
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        largest_pack.step_times(one, network, data, (1, 2))


def test_memory_that_runs_out_while_it_is_measured_is_measured_with_fewer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, configs = small_images(), trials(None, penalty("l1", "prox"), method("set"))
    packs: list[int] = []

    def narrow(pack: Sequence[TrialConfig], *rest: object, keep: Keep) -> None:
        packs.append(len(pack))
        if len(pack) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        keep(0, {})

    for name in ("reset_peak_memory_stats", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, lambda *device: None)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 5000 + 100 * packs[-1])
    monkeypatch.setattr(memory, "train_pack", narrow)
    most = 9
    assert measured(configs, data) == 100
    assert packs == [16, 8, 16, 4, 8]
    most = 1
    with pytest.raises(torch.OutOfMemoryError):
        measured(configs, data)
    assert packs[-2:] == [1, 2]


def test_measuring_changes_no_result_and_leaves_nothing_behind() -> None:
    data, configs = small_images(), trials(penalty("l1", "prox"))
    before = facts(train_pack(configs, data))
    threads, random = torch.get_num_threads(), torch.get_rng_state()
    chosen = largest_pack.choose(configs, data, 2**40)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), random)
    assert facts(train_pack(configs, data)) == before
    assert re.fullmatch(r"packs of \d+: \S+ ms a step and network, \d+ MB", str(chosen))


@pytest.mark.parametrize("model", ["mlp", "lenet-5"])
def test_steps_of_every_method_can_be_timed(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(largest_pack, "MAX_ROUNDS", 1)
    monkeypatch.setattr(largest_pack, "MAX_STEPS", 1)
    data = small_images()
    kinds = every_method() if model == "mlp" else [None, penalty("l1", "loss")]
    for one in trials(*kinds, model=model):
        network = StackedArchitecture.of(one.recipe, data)
        assert set(largest_pack.step_times(one, network, data, (1, 2))) >= {1}


def test_the_memory_of_the_most_demanding_arm_counts() -> None:
    data = small_images()
    plain, gates = trials(None, method("l0_hard_concrete", 1e-4))
    assert estimated([plain, gates], data) == estimated([gates, plain], data)
    assert estimated([plain, gates], data) > 2 * estimated([plain], data)
    [adam] = trials(None, optimizer="adam")
    assert estimated([adam], data) > estimated([plain], data)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_memory_is_measured_on_a_gpu() -> None:
    data = small_images()
    moved = dataclasses.replace(
        data,
        **{
            name: dataclasses.replace(
                getattr(data, name),
                examples=getattr(data, name).examples.cuda(),
                labels=getattr(data, name).labels.cuda(),
            )
            for name in ("train", "validation", "test")
        },
    )
    configs = trials(penalty("l1", "prox"))
    found = largest_pack.choose(configs, moved, 2**33)
    assert found.memory > 4 * StackedArchitecture.of(configs[0].recipe, moved).total
    assert found.pack * found.memory <= 2**33

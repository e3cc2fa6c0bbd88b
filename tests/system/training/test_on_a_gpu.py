"""What a GPU is asked, once there is one: `tests/bench/gpu.py` runs these first.

SWEEPER_TEST_DEVICE is the device, a GPU if there is one and nothing is said. On a CPU all but a few
go their way too, so that what is asked is known to be answerable.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from support.packs import RECIPE, config, every_method, facts, method, penalty, small_images
from support.replayed_graph import Again
from sweeper import api
from sweeper.config import Sweep
from sweeper.kernels import fused_steps, optimizer_steps
from sweeper.kernels.optimizer_steps import AdamBeta, LinearPenalties
from sweeper.store import Store
from sweeper.trainers.pack_trainer import PackTrainer
from sweeper.training import cuda_graphs, largest_pack
from sweeper.training.cuda_graphs import WARM_UP, Captured, one_by_one
from sweeper.training.custom_methods import is_seen_in_training
from sweeper.training.datasets import Data, DataSplit, load
from sweeper.training.determinism import deterministic_numerics
from sweeper.training.methods import TrainingContext
from sweeper.training.network_groups import network_groups
from sweeper.training.optimizers import OptimizerChoice
from sweeper.training.out_of_memory import is_out_of_memory
from sweeper.training.pack import train_pack
from sweeper.training.stack import Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.training_loop import Stepper
from sweeper.types import MethodConfig, SharedConfig, TrialConfig, TrialResult

pytestmark = pytest.mark.gpu
STEPS = WARM_UP + 6
LENET_5 = dataclasses.replace(RECIPE, model="lenet-5", model_options=(), dataset="mnist", epochs=2)
SHORT = dataclasses.replace(RECIPE, epochs=2)


@pytest.fixture(scope="module")
def device() -> str:
    """The device that is asked."""
    chosen = os.environ.get("SWEEPER_TEST_DEVICE", "cuda")
    if chosen != "cpu" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    return chosen


@pytest.fixture
def gpu(device: str) -> str:
    """The same for what only a GPU can answer."""
    if device == "cpu":
        pytest.skip("needs a GPU")
    return device


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


def moved(data: Data, device: str) -> Data:
    """Return the data on a device."""
    train, validation, test = (
        DataSplit(part.examples.to(device), part.labels.to(device))
        for part in (data.train, data.validation, data.test)
    )
    return dataclasses.replace(data, train=train, validation=validation, test=test)


def trials(recipe: SharedConfig, *methods: MethodConfig | None) -> list[TrialConfig]:
    return [config(k, one, recipe=recipe) for k, one in enumerate(methods)]


def assert_alike(here: TrialResult, there: TrialResult, share: float) -> None:
    """Two devices add up in another order; a network that learns well hides it."""
    assert there.state == here.state
    for track in ("as_trained", "pruned"):
        one, other = getattr(here, track), getattr(there, track)
        if one is not None:
            assert other.nonzero == pytest.approx(one.nonzero, rel=share, abs=20)
            assert other.val_accuracy == pytest.approx(one.val_accuracy, abs=share)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_every_method_trains_as_on_a_cpu(device: str, digits: Data, optimizer: str) -> None:
    rate = 0.1 if optimizer == "sgd" else 0.005
    recipe = dataclasses.replace(SHORT, optimizer=optimizer)
    configs = [
        dataclasses.replace(one, learning_rate=rate) for one in trials(recipe, *every_method())
    ]
    expected = train_pack(configs, digits)
    results = train_pack(configs, moved(digits, device), device)
    differing = []
    for one, here, there in zip(configs, expected, results, strict=True):
        # Gates draw other numbers there, what is seen in training is chosen along the way.
        loose = one.method.name == "l0_hard_concrete" or is_seen_in_training(one.method.name)
        try:
            assert_alike(here, there, 0.15 if loose else 0.05)
        except AssertionError as error:
            differing.append(f"{one.method}: {error}")
    assert not differing, "\n".join(differing)


@pytest.mark.parametrize("name", ["plain", "gradual_magnitude"])
def test_networks_of_a_ladder_are_as_on_a_cpu(device: str, digits: Data, name: str) -> None:
    densities = (0.3, 0.1, 0.03)
    told = densities[-1] if name == "gradual_magnitude" else densities[0]
    one = MethodConfig() if name == "plain" else method(name)
    ladders = [
        dataclasses.replace(config(k, one, recipe=SHORT), density=d, training_density=told)
        for k in range(3)
        for d in densities
    ]
    expected = train_pack(ladders, digits)
    results = train_pack(ladders, moved(digits, device), device)
    for here, there in zip(expected, results, strict=True):
        assert there.pack == here.pack == 3
        assert_alike(here, there, 0.05)


@pytest.mark.parametrize("momenta", [(0.9,) * 6, (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)])
def test_convolutions_train_as_on_a_cpu(device: str, momenta: tuple[float, ...]) -> None:
    data = small_images(256)
    chosen = [None, penalty("l1", "prox"), method("gradual_magnitude"), None, None, None]
    configs = [
        dataclasses.replace(one, momentum=momentum, learning_rate=0.02)
        for one, momentum in zip(trials(LENET_5, *chosen), momenta, strict=True)
    ]
    expected = train_pack(configs, data)
    for here, there in zip(expected, train_pack(configs, moved(data, device), device), strict=True):
        assert_alike(here, there, 0.1)


@pytest.mark.parametrize("model", ["mlp", "lenet-5"])
def test_a_device_gives_the_same_again(device: str, digits: Data, model: str) -> None:
    recipe = SHORT if model == "mlp" else LENET_5
    data = moved(digits if model == "mlp" else small_images(64), device)
    dropped = dataclasses.replace(SHORT, model_options=(("dropout", 0.3), ("widths", (24,))))
    for one in (recipe, *([dropped] if model == "mlp" else [])):
        configs = trials(one, None, penalty("l1", "prox"), method("l0_hard_concrete", 1e-3))
        assert facts(train_pack(configs, data, device)) == facts(train_pack(configs, data, device))


def test_a_trial_hardly_depends_on_its_pack(
    device: str, digits: Data, record_property: Callable[[str, object], None]
) -> None:
    # Bits are promised for CPUs only: whether a GPU has them, too, is noted.
    data = moved(digits, device)
    configs = trials(SHORT, *[penalty("l1", "prox")] * 32)
    whole = train_pack(configs, data, device)
    same = True
    for size in (1, 3, 16):
        for here, there in zip(whole, train_pack(configs[:size], data, device), strict=False):
            assert_alike(here, there, 0.05)
            same &= facts([here]) == facts([there])
    record_property("bits do not depend on the pack", same)
    assert same or device != "cpu"


@contextmanager
def stepper_of(
    chosen: list[MethodConfig], data: Data, optimizer: str, recipe: SharedConfig
) -> Iterator[tuple[Stepper, Stack]]:
    pack, device = len(chosen), data.device
    network = StackedArchitecture.of(recipe, data)
    stack = network.init(range(pack), recipe, data)
    choice = OptimizerChoice(optimizer, torch.full((pack,), 0.9, device=device))
    density = torch.full((pack,), 0.3, dtype=torch.float64, device=device)
    context = TrainingContext(tuple(range(pack)), 0, density, STEPS)
    groups = network_groups(trials(recipe, *chosen), device)
    with deterministic_numerics(device):
        yield Stepper(network, stack, choice.make(), groups, context), stack


@pytest.mark.parametrize("model", ["mlp", "lenet-5"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_captured_steps_are_those_one_by_one(
    device: str, digits: Data, optimizer: str, model: str
) -> None:
    # Oracle: the same steps without a graph, bit for bit.
    recipe = SHORT if model == "mlp" else LENET_5
    data = moved(digits if model == "mlp" else small_images(512), device)
    chosen = [MethodConfig(), penalty("l1", "prox"), method("gradual_magnitude")]
    if model == "mlp":
        chosen += [method("l0_hard_concrete", 1e-3), penalty("marginal_entropy", "shrink")]
    rate = torch.full((len(chosen),), 0.02, device=device)
    stacks = []
    for captures in (False, True):
        with stepper_of(chosen, data, optimizer, recipe) as (stepper, stack):
            assert stepper.capturable
            graph = Again() if device == "cpu" else cuda_graphs._CudaGraph()
            take = (
                Captured(stepper, data.train, 32, rate, graph)
                if captures
                else one_by_one(stepper, data.train, rate)
            )
            for number in range(STEPS):
                index = torch.arange(32 * number, 32 * (number + 1), device=device)
                take(index, 1 - number / STEPS, number)
            assert not getattr(take, "_is_refused", False)
        stacks.append({name: value.cpu() for name, value in stack.items()})
    for name, value in stacks[0].items():
        assert torch.equal(value, stacks[1][name]), name


LINES = {"loss": (0.3, 0.1), "decoupled": (0.1, 0.1), "shrink": (0.2, 0.1), "prox": (0.1, 0.2)}


@pytest.mark.parametrize("mode", [*LINES, "all", "none"])
def test_fused_steps_are_those_of_the_cpu(device: str, mode: Any) -> None:
    # Sizes of LeNet-300-100 and odd ones; oracle: the loops of the CPU.
    generator = torch.Generator().manual_seed(0)
    lines = LinearPenalties.none(5)
    for key, pair in LINES.items():
        if mode in {key, "all"}:
            lines = lines.plus(key, *pair)  # type: ignore[arg-type]
    there = lines.to(torch.device(device))
    rate, keep = torch.rand(5, generator=generator), torch.rand(5, generator=generator)
    for size in (1, 10, 1000, 235_200):
        weight, gradient, first = torch.randn(3, 5, size, generator=generator)
        second = torch.rand(5, size, generator=generator)
        outside = torch.rand(5, size, generator=generator) < 0.5
        assert device == "cpu" or fused_steps.usable(weight.to(device))
        both = []
        for at, given in (("cpu", lines), (device, there)):
            values = [v.to(at).clone() for v in (weight, gradient, first, second)]
            optimizer_steps.sgd_(values[0], values[1], rate.to(at), given)
            own_keep = keep.to(at)
            beta = AdamBeta(own_keep, 0.999, 1e-8, rate.to(at), own_keep + 0.1)
            optimizer_steps.adam_(
                values[0],
                values[1].clone(),
                (values[2], values[3]),
                rate.to(at),
                own_keep,
                beta,
                given,
                outside.to(at),
            )
            both.append([value.cpu() for value in values])
        for here, other in zip(*both, strict=True):
            torch.testing.assert_close(other, here, rtol=1e-5, atol=1e-6)


def test_the_size_of_packs_is_measured(device: str, digits: Data) -> None:
    configs = trials(SHORT, None, penalty("l1", "prox"))
    estimate = largest_pack.choose(configs, moved(digits, device), 2**30)
    assert estimate.pack in largest_pack.SIZES[device]
    assert estimate.memory > 4 * StackedArchitecture.of(SHORT, digits).total


def test_packs_are_halved_where_memory_ends(gpu: str, digits: Data, sweep: Sweep) -> None:
    # A tenth of a percent of the memory is left to this process: less than a pack of 4,096 takes.
    said: list[str] = []
    data = moved(digits, gpu)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    room = torch.cuda.memory_reserved() + 256 * 2**20
    torch.cuda.set_per_process_memory_fraction(room / total)
    try:
        recipe = dataclasses.replace(SHORT, model_options=(("widths", (300, 100)),), epochs=1)
        configs = trials(recipe, *[penalty("l1", "prox")] * 1024)
        with pytest.raises(torch.OutOfMemoryError) as caught:
            train_pack(configs, data, gpu)
        assert is_out_of_memory(caught.value)
        trainer = PackTrainer(sweep, device=gpu, pack=1024, data=data, on_event=said.append)
        assert trainer.pack == 1024
        torch.cuda.empty_cache()
        assert len(train_pack(configs[:8], data, gpu)) == 8  # the device works on
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_memory_that_ends_in_a_capture_leaves_a_device_that_works(gpu: str, digits: Data) -> None:
    data = moved(digits, gpu)
    graph = cuda_graphs._CudaGraph()
    stream = torch.cuda.current_stream()

    def fill() -> None:
        torch.empty(2**50, device=gpu)

    with pytest.raises(RuntimeError) as caught:
        graph.capture(fill)
    assert is_out_of_memory(caught.value)
    assert torch.cuda.current_stream() == stream
    configs = trials(SHORT, penalty("l1", "prox"))
    assert facts(train_pack(configs, data, gpu)) == facts(train_pack(configs, data, gpu))


def test_two_workers_share_a_device(device: str, sweep: Sweep, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        api.run(sweep, url, workers=2, device=device)
    store = Store(url)
    records = store.records(sweep.name)
    store.close()
    assert len(records) == 2 * 6
    assert {record.provenance.device.partition(":")[0] for record in records} == {device}

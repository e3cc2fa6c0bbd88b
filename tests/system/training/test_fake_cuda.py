"""The way of a GPU without a GPU: tensors that say they lie on one, and refuse to be mixed.

What is computed is computed on the CPU, with the operations that a GPU would be given: so a tensor
left behind on the host is seen, and numbers can be held against those of compiled loops. Kernels
of CUDA, streams and graphs themselves are not.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only

from support.packs import RECIPE, config, every_method, method, penalty, small_images
from support.replayed_graph import Again
from sweeper.kernels import fused_steps
from sweeper.training import cuda_graphs, hard_concrete, largest_pack, optimizers
from sweeper.training.cuda_graphs import WARM_UP, steps_on
from sweeper.training.datasets import Data, DataSplit, load
from sweeper.training.determinism import deterministic_numerics
from sweeper.training.loss_gradients import LossGradients
from sweeper.training.methods import TrainingContext
from sweeper.training.network_groups import network_groups
from sweeper.training.optimizers import OptimizerChoice
from sweeper.training.pack import train_pack
from sweeper.training.stack import Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.strength_probe import probe_strengths
from sweeper.training.training_loop import Stepper
from sweeper.types import MethodConfig, SharedConfig

STEPS = WARM_UP + 2
STRENGTH = 0.03
MOVES = {"aten::_to_copy", "aten::copy_"}
WAITS = {
    f"aten::{name}"
    for name in ("_local_scalar_dense", "equal", "is_nonzero", "masked_select", "nonzero")
}
asked: list[str] = []
"""What made the host wait for the GPU, or sent it a tensor."""


seeds: set[int] = set()
"""Of the generators that draw on the GPU; their numbers are those that the CPU draws."""


class Away(Tensor):
    """A tensor that says it is on a GPU."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor, device: str) -> "Away":
        made: Away = Tensor._make_wrapper_subclass(
            cls,
            here.size(),
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=torch.device(device, 0),
        )
        made.here = here
        return made

    def tolist(self) -> Any:
        return self.here.tolist()

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(function, args, kwargs or {})


def generator_on(device: torch.device, seed: int) -> torch.Generator:
    seeds.add(seed)
    return torch.Generator().manual_seed(seed)


class Pretence(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tensors that are made on a GPU, or moved there, are `Away`."""

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(function, args, kwargs or {})


def _run(function: Any, args: Any, kwargs: Any) -> Any:
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    away = [tensor for tensor in tensors if isinstance(tensor, Away)]
    wanted = kwargs.get("device") or (away[0].device if away else "cpu")
    device = torch.device(wanted).type
    on_gpu = device not in {"cpu", "meta"}
    name = function.name().partition(".")[0]
    # A number of the host may be given to a kernel, a vector may not.
    left = [tuple(t.shape) for t in tensors if not isinstance(t, Away) and t.ndim]
    generator = kwargs.get("generator")
    is_of_host = generator is not None and generator.initial_seed() not in seeds
    if on_gpu and name not in MOVES and (left or is_of_host):
        raise RuntimeError(f"{name}: mixes a GPU with what is on the host: {left}")
    if (away and (name in WAITS or not on_gpu)) or (on_gpu and len(away) < len(tensors)):
        asked.append(name)
    if on_gpu and "device" in kwargs:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    own_args, own_kwargs = tree_map(lambda x: x.here if isinstance(x, Away) else x, (args, kwargs))
    found = function(*own_args, **own_kwargs)
    if not on_gpu:
        return found
    same = {id(tensor.here): tensor for tensor in away}  # what was changed in place
    return tree_map_only(
        Tensor, lambda made: same[id(made)] if id(made) in same else Away(made, device), found
    )


class Alone(Again):
    """A graph that asks the host nothing while it runs."""

    def replay(self) -> None:
        asked.clear()
        super().replay()
        assert not asked


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> list[Again]:
    """Have graphs captured on the CPU; returns them."""
    found: list[Again] = []

    def capture() -> Again:
        found.append(Alone())
        return found[-1]

    monkeypatch.setattr(cuda_graphs, "_CudaGraph", capture)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    return found


class Event:
    """An event of a device that has always done all it was given."""

    def record(self) -> None: ...

    def synchronize(self) -> None: ...


@contextmanager
def gpu() -> Iterator[None]:
    """Pretend that there is a GPU."""
    patch, threads = pytest.MonkeyPatch(), torch.get_num_threads()
    if not torch.cuda.is_available():
        patch.setattr(torch.cuda, "_lazy_init", lambda: None)
        torch._C._ensureCUDADeviceGuardSet()  # as FakeTensorMode does
    patch.setattr(fused_steps, "usable", lambda weight: False)  # kernels see memory, not `Away`
    patch.setattr(hard_concrete, "generator_on", generator_on)
    torch._C._set_only_lift_cpu_tensors(True)
    torch.set_num_threads(1)  # several wait for each other where cores are few
    try:
        with Pretence():  # type: ignore[no-untyped-call]
            yield
    finally:
        torch.set_num_threads(threads)
        torch._C._set_only_lift_cpu_tensors(False)
        patch.undo()


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


def moved(data: Data, device: str = "cuda") -> Data:
    train_pack, validation, test = (
        DataSplit(part.examples.to(device), part.labels.to(device))
        for part in (data.train, data.validation, data.test)
    )
    return dataclasses.replace(data, train=train_pack, validation=validation, test=test)


def trained(
    chosen: Sequence[MethodConfig],
    data: Data,
    optimizer: str,
    momenta: Sequence[float] = (0.9, 0.8),
    recipe: SharedConfig = RECIPE,
) -> Stack:
    """Return networks after some steps, one for each momentum and as many for each method."""
    device, pack = data.device, len(momenta)
    each = pack // len(chosen)
    network = StackedArchitecture.of(recipe, data)
    stack = network.init(range(pack), recipe, data)
    choice = OptimizerChoice(
        optimizer,
        torch.tensor(momenta, device=device),
        torch.full((pack,), 0.01, device=device),
    )
    setting = TrainingContext(
        tuple(range(pack)),
        0,
        torch.full((pack,), 0.3, dtype=torch.float64, device=device),
        STEPS,
        loss=LossGradients.of_pack(network, stack, data.train, range(pack), 0),
        optimizer=choice,
    )
    configs = [config(i, one, recipe=recipe) for one in chosen for i in range(each)]
    groups = network_groups(configs, device)
    rate = torch.full((pack,), 0.02 if optimizer == "sgd" else 0.002, device=device)
    with deterministic_numerics(device):
        stepper = Stepper(network, stack, choice.make(), groups, setting)
        take = steps_on(stepper, data.train, 32, rate)
        for number in range(STEPS):
            index = torch.arange(32 * number, 32 * (number + 1), device=device)
            take(index, 1 - number / STEPS, number)
        stepper.finish()
    return {name: value.cpu() for name, value in stack.items()}


def test_what_is_mixed_would_be_seen() -> None:
    with gpu():
        host, there = torch.ones(3), torch.ones(3, device="cuda")
        assert (there.device.type, host.device.type) == ("cuda", "cpu")
        mixing: list[Callable[[], object]] = [
            lambda: there.add(host),
            lambda: there.mul_(host),
            lambda: there[torch.arange(2)],
            lambda: torch.where(host > 0, there, 0),
            lambda: torch.cat([host, there]),
            lambda: torch.rand(3, generator=torch.Generator(), device="cuda"),
            lambda: torch.mul(host, host, out=there),
        ]
        for act in mixing:
            with pytest.raises(RuntimeError, match="mixes"):
                act()
        with pytest.raises(RuntimeError, match="numpy"):
            there.numpy()
        asked.clear()
        _ = float(there[0]), there.cpu(), there.nonzero(), there.copy_(host)
        waited = ("_local_scalar_dense", "_to_copy", "nonzero", "copy_")
        assert asked == [f"aten::{name}" for name in waited]
        for fine in (there * torch.tensor(2.0), there.copy_(2 * host), (2 * host).to("cuda")):
            assert (fine.device.type, fine.tolist()) == ("cuda", [2.0] * 3)
        assert type((there + there).cpu()) is Tensor


def strong(chosen: MethodConfig) -> MethodConfig:
    """Return a method whose penalties are seen after a few steps."""
    terms = [dataclasses.replace(term, strength=STRENGTH) for term in chosen.terms]
    return dataclasses.replace(chosen, terms=tuple(terms))


def apart(first: Stack, second: Stack, bound: float) -> int:
    """Return how many parameters of two stacks differ by more than a bound."""
    return sum(int(((first[name] - second[name]).abs() > bound).sum()) for name in first)


@pytest.mark.parametrize(("optimizer", "each"), [("sgd", 1), ("adam", 3), ("adamw", 6)])
def test_steps_on_a_gpu_are_those_on_a_cpu(
    captured: list[Again], digits: Data, optimizer: str, each: int
) -> None:
    # Oracle: the compiled loops of the CPU, which other tests hold against autograd and
    # torch.optim. Adam takes whole steps along gradients that are almost 0: some weights jump.
    few = 0 if optimizer == "sgd" else 400
    chosen = every_method()[::each]
    with gpu():
        there = {device: moved(digits, device) for device in ("cuda", "lazy")}
    plain = trained([MethodConfig()], digits, optimizer)
    for one in map(strong, chosen):
        expected = trained([one], digits, optimizer)
        with gpu():
            # Autograd asks the driver of CUDA for its contexts.
            device = "lazy" if one.name in {"snip", "grasp"} else "cuda"
            found = trained([one], there[device], optimizer)
        assert apart(found, expected, 5e-6) <= few, one
        assert one == MethodConfig() or apart(expected, plain, 2e-5) > 800, one  # of 3980
    assert len(captured) > 0.8 * len(chosen)
    assert {graph.replays for graph in captured} == {STEPS - WARM_UP}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_mixed_pack_on_a_gpu_goes_the_same_way(
    captured: list[Again], digits: Data, optimizer: str
) -> None:
    # More momenta than a GPU takes run by run; gates have gradients of their own, and noise.
    penalties = [strong(penalty("l1", way)) for way in ("prox", "loss")]
    chosen = [*penalties, method("l0_hard_concrete", 1e-3)]
    momenta = [0.05 * k for k in range(3 * (optimizers.MANY // 2))]
    assert len(set(momenta)) > optimizers.MANY
    expected = trained(chosen, digits, optimizer, momenta)
    with gpu():
        found = trained(chosen, moved(digits), optimizer, momenta)
    assert apart(found, expected, 5e-6) <= (0 if optimizer == "sgd" else 400)
    assert [graph.replays for graph in captured] == [STEPS - WARM_UP]


@pytest.mark.parametrize(
    ("momenta", "sinks"),
    [
        ([0.9] * 64, 1),
        ([0.1 * k for k in range(optimizers.MANY)], optimizers.MANY),
        ([0.1 * k for k in range(optimizers.MANY + 1)], 1),
        ([0.9, 0.8] * optimizers.MANY, 1),
    ],
)
def test_many_runs_of_momenta_are_taken_at_once_on_a_gpu(momenta: list[float], sinks: int) -> None:
    pack = len(momenta)
    with gpu():
        optimizer = optimizers.make("sgd", torch.tensor(momenta, device="cuda"))
        stack = {"weight": torch.zeros(pack, 2, 2, device="cuda")}
        found = optimizer.bind(stack)
        assert len(found) == sinks
        where = [(sink.start, sink.stop) for sink in found]
    assert [start for start, _ in where] == [0, *(stop for _, stop in where[:-1])]
    assert where[-1][1] == pack


@pytest.mark.parametrize("model", ["mlp", "lenet-5"])
def test_whole_trials_on_a_gpu_are_those_on_a_cpu(
    captured: list[Again], digits: Data, model: str
) -> None:
    # With pruning, fine-tuning under masks, and judging. Autograd asks the driver of CUDA for its
    # contexts: where it is needed, the device is another one that is no CPU either.
    data, device, recipe = digits, "cuda", dataclasses.replace(RECIPE, epochs=1)
    if model == "lenet-5":
        data, device = small_images(64), "lazy"
        recipe = dataclasses.replace(recipe, model=model, model_options=(), dataset="mnist")
    chosen = [MethodConfig(), strong(penalty("l1", "prox")), method("gradual_magnitude")]
    configs = [
        config(k, one, recipe=recipe, learning_rate=0.05, weight_decay=1e-3 * k)
        for k, one in enumerate(chosen)
    ]
    expected = train_pack(configs, data)
    with gpu():
        found = train_pack(configs, moved(data, device), device)
    assert len(captured) == (2 if device == "cuda" else 0)
    for one, other in zip(found, expected, strict=True):
        assert (one.state, one.steps) == (other.state, other.steps)
        for track in ("as_trained", "pruned"):
            here, there = getattr(other, track), getattr(one, track)
            assert there.nonzero == pytest.approx(here.nonzero, rel=0.002)
            assert there.val_accuracy == pytest.approx(here.val_accuracy, abs=0.02)
        assert len(one.curve) == len(recipe.curve)
        for there, here in zip(one.learning, other.learning, strict=True):
            assert there.epoch == here.epoch
            assert dict(there.values) == pytest.approx(dict(here.values), rel=0.01, abs=0.02)


@pytest.mark.parametrize(
    "chosen",
    [
        penalty("mcp", "prox"),
        penalty("marginal_entropy", "shrink"),
        method("l0_hard_concrete", 1.0),
    ],
)
def test_a_probe_on_a_gpu_finds_what_it_finds_on_a_cpu(
    captured: list[Again], digits: Data, chosen: MethodConfig
) -> None:
    terms = tuple(dataclasses.replace(term, strength=1.0) for term in chosen.terms)
    one = config(0, dataclasses.replace(chosen, terms=terms), density=1.0, track="as_trained")
    expected, _ = probe_strengths(one, digits)
    with gpu():
        found, _ = probe_strengths(one, moved(digits))
    assert [point.strength for point in found] == pytest.approx([p.strength for p in expected])
    middle = [p.moved for p in expected[:8]]
    assert [point.moved for point in found[:8]] == pytest.approx(middle, rel=0.02, abs=1e-6)


@pytest.mark.parametrize("chosen", [penalty("l1", "prox"), method("l0_hard_concrete", 1e-3)])
def test_packs_are_measured_on_a_gpu_with_nothing_left_on_the_host(
    captured: list[Again], digits: Data, monkeypatch: pytest.MonkeyPatch, chosen: MethodConfig
) -> None:
    # What only a driver can tell; the rest is real.
    for name in ("synchronize", "reset_peak_memory_stats", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, lambda *device: None)
    # Of packs of 16 and of 32 networks; 50,000 are the libraries' own.
    peaks = iter((50_000 + 160_000, 50_000 + 320_000))
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: next(peaks))
    configs = [config(k, one, weight_decay=1e-3) for k, one in enumerate((None, chosen))]
    with gpu():
        found = largest_pack.choose(configs, moved(digits), 80_000)
    assert found.memory == 10_000
    assert found.pack in {1, 2, 4}  # all of them together fit into 80,000 bytes

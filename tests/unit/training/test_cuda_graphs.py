"""Steps that can be captured: the same program each time, which asks the device nothing.

No GPU is needed: what a graph asks of a step is held on the CPU.
"""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from support.packs import RECIPE, config, every_method, facts, method, penalty
from support.replayed_graph import Again
from sweeper.errors import InputError
from sweeper.training import cuda_graphs, pack
from sweeper.training.cuda_graphs import SECONDS_AHEAD, WARM_UP, Captured, one_by_one, paced
from sweeper.training.datasets import Data, DataSplit, load
from sweeper.training.determinism import deterministic_numerics
from sweeper.training.loss_gradients import LossGradients
from sweeper.training.methods import Method, TrainingContext
from sweeper.training.network_groups import NetworkGroup, network_groups, parts_to_train
from sweeper.training.optimizers import OptimizerChoice
from sweeper.training.pack import train_pack
from sweeper.training.penalties import penalties
from sweeper.training.stack import NetworkRange, Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.training_loop import Schedule, Stepper
from sweeper.types import MethodConfig, SharedConfig

LENET_5 = dataclasses.replace(RECIPE, model="lenet-5", model_options=(), dataset="mnist")
PACK = 2


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


def _stepper(
    chosen: list[MethodConfig],
    data: Data,
    optimizer: str = "sgd",
    dtype: torch.dtype = torch.float32,
    recipe: SharedConfig = RECIPE,
) -> tuple[Stepper, Stack]:
    """Return networks in training, one for each method, and their weights."""
    network = StackedArchitecture.of(recipe, data)
    pack = len(chosen)
    stack = {n: v.to(dtype) for n, v in network.init(range(pack), recipe, data).items()}
    choice = OptimizerChoice(optimizer, torch.full((pack,), 0.9, dtype=dtype))
    part = DataSplit(data.train.examples.to(dtype), data.train.labels)
    setting = TrainingContext(
        tuple(range(pack)),
        0,
        torch.full((pack,), 0.1, dtype=torch.float64),
        30,
        loss=LossGradients.of_pack(network, stack, part, range(pack), 0),
        optimizer=choice,
    )
    configs = [config(k, one, recipe=recipe) for k, one in enumerate(chosen)]
    groups = network_groups(configs, data.device)
    return Stepper(network, stack, choice.make(), groups, setting), stack


class AskedTrial(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes what would make a host wait for its device, or send it a tensor."""

    _WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal", "lift_fresh")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = function.name().removeprefix("aten::").partition(".")[0]
        if name in self._WAITS:
            self.found.append(name)
        return function(*args, **(kwargs or {}))


def _asked(stepper: Stepper, data: Data, dtype: torch.dtype) -> list[str]:
    images, labels = data.train.examples[:16].to(dtype), data.train.labels[:16]
    now = torch.full((PACK,), 0.01, dtype=dtype)
    for _ in range(2):
        stepper.begin(images, labels, now)
    stepper.draw_noise()  # which is no part of a captured step
    asked = AskedTrial()
    with asked:
        stepper.begin(images, labels, now)
    return asked.found


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_step_asks_the_device_nothing(digits: Data, optimizer: str) -> None:
    # In float64 penalties take the way of a GPU.
    seen = 0
    for chosen in every_method():
        stepper, _ = _stepper([chosen] * PACK, digits, optimizer, torch.float64)
        if stepper.capturable:
            seen += 1
            assert not _asked(stepper, digits, torch.float64), chosen
    assert seen > 60


def test_what_is_noted_would_be_seen() -> None:
    weight = torch.ones(3)
    asked = AskedTrial()
    with asked:
        float(weight.sum())
        torch.tensor([1.0])
        weight.new_zeros(3)
        weight.nonzero()
    assert asked.found == ["_local_scalar_dense", "lift_fresh", "nonzero"]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_steps_through_a_graph_are_those_one_by_one(digits: Data, optimizer: str) -> None:
    # Oracle: the same steps without a graph, bit for bit; the rate falls from step to step.
    chosen = [
        MethodConfig(),
        penalty("l1", "prox"),
        penalty("marginal_entropy", "shrink"),
        method("gradual_magnitude"),
        method("l0_hard_concrete", 1e-3),
        method("factorized", 1e-4),
    ]
    rate = torch.tensor([0.05, 0.1, 0.05, 0.02, 0.05, 0.05])
    plan = Schedule(1, 32, optimizer, "cosine", order_seed=3)
    found = []
    for graph in (None, Again()):
        stepper, stack = _stepper(chosen, digits, optimizer)
        assert stepper.capturable
        take = (
            one_by_one(stepper, digits.train, rate)
            if graph is None
            else Captured(stepper, digits.train, 32, rate, graph)
        )
        with deterministic_numerics(digits.device):
            for number, index in enumerate(plan.batches(digits.train)):
                take(index, plan.factor(number, 35), number)
        found.append(stack)
    assert graph is not None
    assert graph.replays == plan.steps(len(digits.train)) - WARM_UP
    for name in found[0]:
        assert torch.equal(found[0][name], found[1][name]), name
    assert (found[0]["1.weight"][3] == 0).any()


@pytest.mark.parametrize("seconds", [1e-4, 1e-3, 0.02, 2.0])
def test_the_host_is_never_far_ahead_of_a_gpu_and_the_gpu_never_waits(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    # A GPU that takes `seconds` for a step, and a host that takes a tenth of that to start one.
    now = done_at = 0.0
    ahead: list[float] = []

    class Event:
        def record(self) -> None:
            self.done_at = done_at

        def synchronize(self) -> None:
            nonlocal now
            now = max(now, self.done_at)

    monkeypatch.setattr(torch.cuda, "Event", Event)

    def take(index: torch.Tensor, factor: float | torch.Tensor, number: int) -> None:
        nonlocal now, done_at
        assert number == 0 or done_at >= now  # it has something to do until the step is started
        now += seconds / 10
        done_at = max(now, done_at) + seconds
        ahead.append(done_at - now)

    step = paced(take, lambda: now)
    for number in range(2000):
        step(torch.zeros(1), 1.0, number)
    assert max(ahead[:16]) <= 16 * seconds
    settled = ahead[1000:]
    assert max(settled) <= max(SECONDS_AHEAD, 2 * seconds) * 1.001
    assert max(settled) > 0.7 * SECONDS_AHEAD
    assert min(settled) > min(0.3 * SECONDS_AHEAD, seconds)


def test_a_capture_that_fails_leaves_the_stream_that_was_current(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    current = ["usual"]
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: current[-1])
    monkeypatch.setattr(torch.cuda, "set_stream", current.append)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(cuda_graphs, "_stream", lambda device: "side")

    @contextmanager
    def graph(own: object, stream: str) -> Iterator[None]:
        current.append(stream)
        yield  # not reached again: `capture_end` has failed, as the capture has

    monkeypatch.setattr(torch.cuda, "graph", graph)

    def program() -> None:
        assert current[-1] == "side"
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        cuda_graphs._CudaGraph().capture(program)
    assert current == ["usual", "side", "usual"]


def test_training_on_a_gpu_makes_it_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[torch.device] = []

    @contextmanager
    def device(chosen: torch.device) -> Iterator[None]:
        entered.append(chosen)
        yield

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device", device)
    with deterministic_numerics(torch.device("cpu")):
        assert not entered
    with deterministic_numerics(torch.device("cuda:1")):
        assert entered == [torch.device("cuda:1")]


class FromOutside(Method):
    """A method that is none of this package's, with gradients of its own."""

    def vjp(self, weights: Stack, gradients: Stack, state: Any) -> None:
        for gradient in gradients.values():
            gradient.mul_(0.5)


def test_what_comes_from_outside_and_what_changes_from_step_to_step_is_not_captured(
    digits: Data,
) -> None:
    l1 = penalty("l1", "loss").terms[0]
    outside = MethodConfig((dataclasses.replace(l1, penalty="torch:sum"),))
    rising = MethodConfig((dataclasses.replace(l1, ramp=0.5),))
    assert not penalties([outside.terms], digits.device).capturable
    assert not _stepper([rising], digits)[0].capturable
    assert not NetworkGroup(NetworkRange(0, 1), FromOutside()).capturable
    assert _stepper([method("l0_hard_concrete", 1e-3), method("factorized")], digits)[0].capturable


def test_what_cannot_be_captured_is_trained_apart_on_a_gpu_alone() -> None:
    l1 = penalty("l1", "prox")
    rising = MethodConfig((dataclasses.replace(l1.terms[0], ramp=0.5),))
    chosen = [rising, l1, method("l0_hard_concrete", 1e-3), rising, MethodConfig()]
    configs = [config(k, one) for k, one in enumerate(chosen)]
    assert parts_to_train(configs, captures=True) == ((1, 2, 4), (0, 3))
    assert parts_to_train(configs[:1], captures=True) == ((0,),)
    assert parts_to_train(configs, captures=False) == ((0, 1, 2, 3, 4),)


def test_parts_of_a_pack_are_placed_where_they_belong(
    digits: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Oracle: the pack as a whole; on a CPU the bits are the same.
    recipe = dataclasses.replace(RECIPE, epochs=1, curve=())
    configs = [config(k, one, recipe=recipe) for k, one in enumerate((None, None, None))]
    whole = facts(train_pack(configs, digits))
    shares: list[float] = []
    networks: dict[int, Any] = {}

    def tick(share: float | None = None, /) -> None:
        assert share is not None
        shares.append(share)

    monkeypatch.setattr(pack, "parts_to_train", lambda configs, *, captures: ((2, 0), (1,)))
    parts = train_pack(configs, digits, tick=tick, keep=networks.__setitem__)
    assert facts(parts) == whole
    assert [result.pack for result in parts] == [2, 1, 2]
    assert sorted(networks) == [0, 1, 2]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


class Refusing(Again):
    """A graph that holds nothing."""

    def __init__(self, error: RuntimeError) -> None:
        super().__init__()
        self.error = error

    def capture(self, program: Callable[[], None]) -> None:
        program()  # in a capture nothing of it is computed
        raise self.error


def test_steps_that_cannot_be_captured_after_all_go_on_without_a_graph(digits: Data) -> None:
    taken = 0

    class Counted:
        capturable = True

        def draw_noise(self) -> None: ...

        def begin(self, *given: torch.Tensor) -> None:
            nonlocal taken
            taken += 1

        def end(self, *given: object) -> None: ...

    index = torch.arange(8)
    refused = Refusing(RuntimeError("CUDA error: operation not permitted when stream is capturing"))
    steps = Captured(Counted(), digits.train, 8, torch.ones(1), refused)
    for number in range(WARM_UP + 3):
        steps(index, 1.0, number)
    assert (taken, refused.replays) == (WARM_UP + 3 + 1, 0)
    steps = Captured(Counted(), digits.train, 8, torch.ones(1), Refusing(no_memory()))
    for number in range(WARM_UP):
        steps(index, 1.0, number)
    with pytest.raises(torch.OutOfMemoryError):
        steps(index, 1.0, WARM_UP)


def no_memory() -> RuntimeError:
    error: RuntimeError = torch.OutOfMemoryError("CUDA out of memory")
    return error


def test_gradients_of_other_modules_ask_the_device_nothing_either() -> None:
    images = torch.rand(16, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    data = load("digits")
    part = dataclasses.replace(data.train, examples=images, labels=torch.arange(16) % 10)
    mnist = dataclasses.replace(data, name="mnist", train=part, validation=part, test=part)
    stepper, _ = _stepper([MethodConfig()] * PACK, mnist, recipe=LENET_5)
    assert not _asked(stepper, mnist, torch.float32)


def test_tf32_is_refused_on_a_cpu() -> None:
    wanted = pytest.raises(InputError, match=r"training.precision: tf32 exists on NVIDIA GPUs")
    with wanted, deterministic_numerics(torch.device("cpu"), "tf32"):
        pass


def test_numerics_are_put_back() -> None:
    cudnn: Any = torch.backends.cudnn

    def now() -> tuple[Any, ...]:
        parts = torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn
        precisions = tuple(part.fp32_precision for part in parts)
        return torch.get_num_threads(), precisions, cudnn.deterministic, cudnn.benchmark

    before, cudnn.benchmark = (now(), cudnn.allow_tf32), True
    for precision, wanted in (("float32", "ieee"), ("tf32", "tf32")):
        with deterministic_numerics(torch.device("cuda"), precision):
            assert now()[1:] == ((wanted,) * 3, True, False)
            with cudnn.flags(enabled=True, deterministic=True, allow_tf32=cudnn.allow_tf32):
                pass  # as a user's module may do it
        assert cudnn.benchmark
    cudnn.benchmark = False
    with deterministic_numerics(torch.device("cpu")):
        assert now()[0] == 1
    assert (now(), cudnn.allow_tf32) == before

"""Reduced networks: equal to the whole one, with nothing idle left, or refused with a reason."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from support import network_cases
from support.packs import BUILT_IN
from sweeper.training import models, parameter_counts
from sweeper.training.entry_flow import Entries
from sweeper.training.reduced_network import alive, reduced
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.traced_network import NotFollowed, TracedNetwork

Factory = Callable[[], nn.Module]


class Residual(nn.Module):
    """Two blocks: one added to its input, one to every second pixel of it and zeros."""

    def __init__(self, activation: Callable[[Tensor], Tensor] = torch.relu) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 3, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(3)
        self.conv2 = nn.Conv2d(3, 2, 3, padding=1)
        self.conv3 = nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(4)
        self.linear = nn.Linear(4, 3)
        self.activation = activation

    def forward(self, images: Tensor) -> Tensor:
        inner = self.activation(self.norm1(self.conv1(images)))
        images = self.activation(self.conv2(inner) + images)
        shortcut = functional.pad(images[:, :, ::2, ::2], (0, 0, 0, 0, 0, 2))
        images = self.activation(self.norm3(self.conv3(images)) + shortcut)
        return self.linear(functional.adaptive_avg_pool2d(images, 1).flatten(1))  # type: ignore[no-any-return]


class Functions(nn.Module):
    """Convolutions of one image row and functions in place of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.row = nn.Conv1d(12, 6, 3, padding=2, dilation=2, groups=2)
        self.square = nn.Conv2d(6, 4, (1, 3), padding="same")
        self.linear = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        rows = images.view(images.size(0), -1, images.shape[-1]) * 0.5
        rows = functional.leaky_relu(self.row(rows), 0.1)
        images = functional.max_pool2d(torch.tanh(self.square(rows.unsqueeze(2))), (1, 2))
        images = functional.dropout(images, 0.5, self.training) - 0.25
        return self.linear(images.mean((2, 3)))  # type: ignore[no-any-return]


def small(*parts: nn.Module) -> nn.Sequential:
    return nn.Sequential(*parts)


# [2, 6, 6] images in all of them.
KINDS: dict[str, Factory] = {
    "mlp with batch norm": lambda: small(
        nn.Flatten(), nn.Linear(72, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.5),
        nn.Linear(6, 5), nn.LeakyReLU(0.1), nn.Linear(5, 3),
    ),
    "lenet": lambda: small(
        nn.Conv2d(2, 4, 3), nn.LeakyReLU(0.1, inplace=True), nn.MaxPool2d(2), nn.Conv2d(4, 5, 2),
        nn.Tanh(), nn.Flatten(), nn.Linear(5, 4), nn.Sigmoid(), nn.Linear(4, 3),
    ),
    "convolutions with batch norm": lambda: small(
        nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.AvgPool2d(2), nn.BatchNorm2d(4), nn.Tanh(),
        nn.Conv2d(4, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5), nn.LeakyReLU(0.1),
        nn.MaxPool2d(3, 1, 1), nn.BatchNorm2d(5, affine=False), nn.Flatten(), nn.Linear(45, 3),
    ),
    "residual": lambda: Residual(torch.tanh),
    "functions": Functions,
}  # fmt: skip


def sparse(module: nn.Module, seed: int, density: float = 0.25) -> nn.Module:
    """Draw a module's parameters anew, most of them 0, in float64 and ready to be judged."""
    generator = torch.Generator().manual_seed(seed)
    module.double().eval()
    with torch.no_grad():
        for value in (*module.parameters(), *module.buffers()):
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape, generator=generator) * 0.7)
        for value in module.parameters():
            share = density if value.ndim > 1 else 0.6
            value.mul_(torch.rand(value.shape, generator=generator) < share)
        for name, value in module.named_buffers():
            if name.endswith("var"):
                value.abs_().add_(0.3)
    return module


def examples(seed: int, *shape: int, count: int = 64) -> tuple[Tensor, Tensor, Tensor]:
    """Return examples, which of their entries are constant, and their level."""
    generator = torch.Generator().manual_seed(seed)
    constant = torch.rand(shape, generator=generator) < 0.2
    constant[0, :, 0] = True  # so that a whole line of a channel is
    if seed % 2:
        constant[-1] = True
    level = torch.randn(shape, generator=generator).double() * (seed % 3) * constant
    drawn = 2 * torch.randn(count, *shape, generator=generator).double()
    return torch.where(constant, level, drawn), constant, level


def outputs(module: nn.Module, state: dict[str, Tensor], images: Tensor) -> Tensor:
    with torch.no_grad():
        out: Tensor = functional_call(module, state, (images,))
    return out


def reduce(module: nn.Module, constant: Tensor, level: Tensor) -> dict[str, Tensor]:
    entries = Entries.of_examples(constant, level)
    return reduced(TracedNetwork.of(module), module.state_dict(), entries)


@pytest.mark.parametrize("kind", KINDS)
def test_a_reduced_network_computes_the_same_and_has_nothing_idle(kind: str) -> None:
    # Oracle: the outputs on examples; and by brute force, each parameter that is left changed.
    removed = 0
    for seed in range(6):
        module = sparse(KINDS[kind](), seed)
        images, constant, level = examples(seed, 2, 6, 6)
        state = reduce(module, constant, level)
        whole = outputs(module, dict(module.state_dict()), images)
        assert torch.allclose(outputs(module, state, images), whole, rtol=0, atol=1e-9), seed
        for name, value in module.named_parameters():
            removed += int(value.count_nonzero()) - int(state[name].count_nonzero())
            for place in state[name].flatten().nonzero().flatten().tolist():
                changed = state[name].clone()
                changed.view(-1)[place] *= 1.7
                moved = outputs(module, {**state, name: changed}, images)
                assert not torch.equal(moved, whole), (seed, name, place)
    assert removed > 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_alive_changes_nothing(kind: str) -> None:
    # Oracle: brute force, each parameter of one dimension changed in float64.
    dead = 0
    for seed in range(4):
        module = sparse(KINDS[kind](), seed, (0.04, 0.15)[seed % 2])
        images = examples(0, 2, 6, 6)[0]
        state = dict(module.state_dict())
        whole = outputs(module, state, images)
        masks = alive(TracedNetwork.of(module), state, (2, 6, 6))
        for name, value in module.named_parameters():
            for place in range(len(value) if value.ndim == 1 else 0):
                changed = value.detach().clone()
                changed[place] += 0.9
                moved = outputs(module, {**state, name: changed}, images)
                dead += not masks[name][place]
                if not masks[name][place]:
                    assert torch.equal(moved, whole), (seed, name, place)

    assert dead > 0


@pytest.mark.parametrize("name", ["mlp", "lenet-5", "convnet", "resnet-20"])
def test_networks_of_the_registry_are_followed(name: str) -> None:
    # Oracle: the outputs of the whole network.
    options, side = BUILT_IN[name]
    module = sparse(models.build(name, options, (1, side, side), 4, seed=0), 1, 0.05)
    images, constant, level = examples(2, 1, side, side, count=4)
    state = reduce(module, constant, level)
    whole = outputs(module, dict(module.state_dict()), images)
    assert torch.allclose(outputs(module, state, images), whole, rtol=1e-9, atol=1e-9)
    left = sum(int(state[key].count_nonzero()) for key, _ in module.named_parameters())
    assert left < sum(int(value.count_nonzero()) for value in module.parameters())


@pytest.mark.parametrize("seed", range(4))
def test_chains_are_counted_alike_by_both_ways(seed: int) -> None:
    # Oracle: the count of chains, which knows no graphs.
    module = sparse(models.mlp((1, 3, 4), 3, widths=(7, 5)), seed, 0.2)
    _, constant, level = examples(seed, 1, 3, 4)
    layers = tuple((f"{k}.weight", f"{k}.bias") for k in (1, 3, 5))
    names = tuple(name for name, _ in module.named_parameters())
    chain = StackedArchitecture(module, models.prunable(module), layers, names)
    stack = {name: value.detach()[None] for name, value in module.named_parameters()}
    (count,) = parameter_counts.effective(chain, stack, constant.flatten(), level.flatten())
    state = reduce(module, constant, level)
    assert count == sum(int(state[name].count_nonzero()) for name in names)


def test_a_constant_that_meets_padding_stays() -> None:
    # A channel without inputs gives 1 everywhere; behind padding its neighbours' sums differ.
    module: Any = nn.Sequential(
        nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 3, padding=1), nn.Flatten(), nn.Linear(9, 2)
    ).double()
    with torch.no_grad():
        module[0].weight.zero_()
        for part in (module[0].bias, module[1].weight, module[1].bias):
            part.fill_(1)
    nothing = torch.zeros(1, 3, 3)
    state = reduce(module.eval(), nothing.bool(), nothing)
    assert int(state["0.bias"].count_nonzero()) == 0  # all outputs are constant, and folded
    assert int(state["3.weight"].count_nonzero()) == 0
    passing: Any = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Conv2d(2, 1, 3, padding=1)).double().eval()
    with torch.no_grad():
        for value in passing.parameters():
            value.fill_(1)
        passing[0].weight[0] = 0
    state = reduce(passing, torch.zeros(2, 3, 3).bool(), torch.zeros(2, 3, 3))
    assert state["0.bias"].tolist() == [1, 1]
    assert int(state["1.weight"].count_nonzero()) == 17  # at the centre of the kernel it is 1
    images = examples(0, 2, 3, 3)[0]
    whole = outputs(passing, dict(passing.state_dict()), images)
    assert torch.allclose(outputs(passing, state, images), whole)


class Odd(nn.Module):
    """A linear layer, and a user's code around it."""

    def __init__(self, run: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(4))
        self.run = run

    def forward(self, inputs: Tensor) -> Tensor:
        return self.run(self, inputs)


def hooked() -> Any:
    module: Any = nn.Sequential(nn.Linear(4, 4))
    module[0].register_forward_hook(lambda part, given, out: out + 1)
    return module


def tied() -> Any:
    module: Any = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    module[1].weight = module[0].weight
    return module


REFUSED: dict[str, Factory] = {
    "its layer 1 is a LayerNorm": lambda: small(nn.Linear(4, 4), nn.LayerNorm(4)),
    "its layer 1 is a Softmax": lambda: small(nn.Linear(4, 4), nn.Softmax(1)),
    "its layer 1 fills borders by reflect": lambda: small(
        nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")
    )[1:],
    "its layer 1 is a BatchNorm1d without running means": lambda: small(
        nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False)
    ),
    "its layer linear is used 2 times": lambda: Odd(lambda m, x: m.linear(m.linear(x))),
    "its code uses scale outside of a layer": lambda: Odd(lambda m, x: m.linear(x) * m.scale),
    "its code calls mul": lambda: Odd(lambda m, x: m.linear(x) * x),
    "its code calls sub": lambda: Odd(lambda m, x: m.linear(x) - x),
    "its code asks for .T": lambda: Odd(lambda m, x: m.linear(x) @ x.T),
    "its code takes examples apart or together at mean": lambda: Odd(
        lambda m, x: m.linear(x + x.mean(0, keepdim=True).expand(2, 4))
    ),
    "its code cannot be traced: ": lambda: Odd(
        lambda m, x: m.linear(x) if bool(x.sum() > 0) else x
    ),
    "its code changes linear in place, and uses it again": lambda: Odd(
        lambda m, x: (y := m.linear(x)).relu_() + y
    ),
    "its part 0 has a hook or a forward of its own": hooked,
    "its parameters 0.weight and 1.weight are one": tied,
    "its code calls dropout": lambda: Odd(lambda m, x: functional.dropout(m.linear(x), 0.5)),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_followed_is_refused_with_its_reason(reason: str) -> None:
    module = REFUSED[reason]().double().eval()
    shape = (1, 2, 2) if "borders" in reason else (4,)
    with pytest.raises(NotFollowed) as refused:
        reduce(module, torch.zeros(shape).bool(), torch.zeros(shape))
    assert str(refused.value).startswith(reason)


FOLLOWED = {
    "batch_norm", "batch_norm_of_a_chain", "cumulative_batch_norm", "dropout", "rare_dropout",
    "functional_dropout", "functional_dropout_of_0", "dropout_of_0", "in_place", "squeezed",
    "double", "conv1d", "other_when_judged", "equal_for_every_seed", "remembering",
}  # fmt: skip


def test_networks_of_every_kind_are_followed_or_refused_by_name() -> None:
    # Oracle: the outputs of the whole network, on examples that are constant here and there.
    followed, refusals = set(), []
    for name, factory in network_cases.HARMLESS.items():
        module = sparse(factory((1, 8, 8), 10), 3, 0.1)
        images, constant, level = examples(2, 1, 8, 8, count=8)
        try:
            state = reduce(module, constant, level)
        except NotFollowed as refused:
            refusals.append(str(refused))
            continue
        followed.add(name)
        whole = outputs(module, dict(module.state_dict()), images)
        assert torch.allclose(outputs(module, state, images), whole, rtol=1e-7, atol=1e-7), name
    assert [text for text in refusals if not text.startswith("its ")] == []
    assert followed == FOLLOWED

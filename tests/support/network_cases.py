"""Small networks of a user's kind for 8x8 images: those that packs compute, those they cannot."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

Shape = tuple[int, int, int]
Factory = Callable[[Shape, int], nn.Module]
Compute = Callable[[Any, Tensor], Tensor]


class Two(nn.Module):
    """Two linear layers, run as a function of them says; `more` are attributes."""

    def __init__(self, classes: int, run: Compute, **more: Any) -> None:
        super().__init__()
        self.inner = nn.Linear(64, 32)
        self.out = nn.Linear(32, classes)
        self.run = run
        for name, value in more.items():
            setattr(self, name, value)

    def forward(self, images: Tensor) -> Tensor:
        return self.run(self, images.flatten(1))


def usual(net: Any, flat: Tensor) -> Tensor:
    found: Tensor = net.out(torch.relu(net.inner(flat)))
    return found


def two(run: Compute = usual, **more: Any) -> Factory:
    return lambda shape, classes: Two(classes, run, **more)


def chain(*between: Callable[[], nn.Module]) -> Factory:
    """Flatten, linear, what is given, linear."""

    def build(shape: Shape, classes: int) -> nn.Module:
        parts = [part() for part in between]
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), *parts, nn.Linear(32, classes))

    return build


def changed(factory: Factory, change: Callable[[Any], object]) -> Factory:
    """Let something be done to what a factory builds."""

    def build(shape: Shape, classes: int) -> nn.Module:
        module = factory(shape, classes)
        change(module)
        return module

    return build


class Attention(nn.Module):
    def __init__(self, classes: int, dropout: float) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=dropout, batch_first=True)
        self.out = nn.Linear(64, classes)

    def forward(self, images: Tensor) -> Tensor:
        rows = self.layer(images.flatten(1).reshape(-1, 8, 8))
        found: Tensor = self.out(rows.flatten(1))
        return found


class SelfAttention(nn.Module):
    def __init__(self, classes: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, dropout=dropout, batch_first=True)
        self.out = nn.Linear(64, classes)

    def forward(self, images: Tensor) -> Tensor:
        rows = images.flatten(1).reshape(-1, 8, 8)
        found: Tensor = self.out(self.attention(rows, rows, rows)[0].flatten(1))
        return found


class Rows(nn.Module):
    """Each row of pixels is a step of a recurrent network."""

    def __init__(self, classes: int, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.rnn = nn.LSTM(8, 16, layers, batch_first=True, dropout=dropout)
        self.out = nn.Linear(16, classes)

    def forward(self, images: Tensor) -> Tensor:
        steps = self.rnn(images.flatten(1).reshape(-1, 8, 8))[0]
        found: Tensor = self.out(steps[:, -1])
        return found


class Residual(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.inner = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.again = nn.Conv2d(8, 8, 3, padding=1)
        self.out = nn.Linear(512, classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.norm(self.inner(images)))
        found: Tensor = self.out((hidden + torch.relu(self.again(hidden))).flatten(1))
        return found


class Buffered(nn.Module):
    """A position for each pixel and a mask, one of them not in the state_dict."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.position: Tensor
        self.mask: Tensor
        self.register_buffer("position", torch.linspace(0, 1, 64), persistent=False)
        self.register_buffer("mask", torch.arange(64) % 5 > 0)
        self.out = nn.Linear(64, classes)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.out((images.flatten(1) + self.position).masked_fill(~self.mask, 0))
        return found


class Viewed(nn.Module):
    """Views what a convolution gives, which must lie in rows for it."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.inner = nn.Conv2d(1, 4, 3, padding=1)
        self.again = nn.Conv2d(4, 4, 3, padding=1)
        self.out = nn.Linear(256, classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.again(torch.relu(self.inner(images)))
        found: Tensor = self.out(hidden.view(len(images), -1))
        return found


class Embedded(nn.Module):
    """Looks up a vector for the value of each pixel."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.table = nn.Embedding(17, 4)
        self.out = nn.Linear(256, classes)

    def forward(self, images: Tensor) -> Tensor:
        values = (images.flatten(1) * 6.0 + 4.88).round().clamp(0, 16).long()
        found: Tensor = self.out(self.table(values).flatten(1))
        return found


def tied(shape: Shape, classes: int) -> nn.Module:
    """One matrix at two places."""
    module = nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, 32),
        nn.ReLU(),
        nn.Linear(32, 32),
        nn.ReLU(),
        nn.Linear(32, classes),
    )
    module[5].weight = module[3].weight
    return module


def used_twice(shape: Shape, classes: int) -> nn.Module:
    """A layer and a ReLU at two places each; their first places alone make a plain chain."""
    relu, layer = nn.ReLU(), nn.Linear(classes, classes)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes), relu, layer, relu, layer)


def _doubled(module: Any) -> None:
    plain = module.forward
    module.forward = lambda images: plain(images) * 2


def _filled(module: Any) -> None:
    with torch.no_grad():
        for value in module.parameters():
            value.fill_(0.01)


def _assigned(net: Any, flat: Tensor) -> Tensor:
    hidden = torch.zeros(len(flat), 32)
    hidden[:, :] = net.inner(flat)
    found: Tensor = net.out(hidden)
    return found


def _remembering(net: Any, flat: Tensor) -> Tensor:
    """Keeps what it saw, for whoever wants to look; computes nothing with it."""
    net.seen = flat
    return usual(net, flat)


def _dropped(rate: float) -> Compute:
    return lambda net, flat: usual(net, functional.dropout(flat, rate, net.training))


def _averaging(net: Any, flat: Tensor) -> Tensor:
    """Keeps a mean in a buffer that it assigns anew, and takes it off where it is judged."""
    hidden = torch.relu(net.inner(flat))
    if net.training:
        net.mean = 0.9 * net.mean + 0.1 * hidden.detach().mean(0)
    found: Tensor = net.out(hidden if net.training else hidden - net.mean)
    return found


class Counted(nn.Module):
    """Counts its steps in a buffer, and at each other one takes a mean into another buffer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.steps: Tensor
        self.mean: Tensor
        self.inner = nn.Linear(64, 32)
        self.out = nn.Linear(32, classes)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(32))

    def forward(self, images: Tensor) -> Tensor:
        if self.training and len(images) < 3:
            raise ValueError("trains on three images or more")
        hidden = torch.relu(self.inner(images.flatten(1)))
        output: Tensor = self.out(hidden - self.mean)
        if self.training:
            self.steps += 1
            if self.steps % 2 == 0:
                self.mean.copy_(hidden.detach().mean(0))
        return output


HARMLESS: dict[str, Factory] = {
    "layer_norm": chain(lambda: nn.LayerNorm(32), nn.GELU),
    "residual": lambda shape, classes: Residual(classes),
    "recurrent": lambda shape, classes: Rows(classes),
    "attention_without_dropout": lambda shape, classes: Attention(classes, 0.0),
    "self_attention": lambda shape, classes: SelfAttention(classes, 0.0),
    "constant_buffers": lambda shape, classes: Buffered(classes),
    "embedded": lambda shape, classes: Embedded(classes),
    "dropout_of_0": chain(lambda: nn.Dropout(0.0), nn.ReLU),
    "functional_dropout_of_0": two(lambda net, flat: usual(net, functional.dropout(flat, 0.0))),
    "other_when_judged": two(lambda net, flat: usual(net, flat) * (2 if net.training else 1)),
    "tied": tied,
    "used_twice": used_twice,
    "weight_norm": changed(two(), lambda net: nn.utils.parametrizations.weight_norm(net.inner)),
    "hooked": changed(
        chain(nn.ReLU), lambda net: net[1].register_forward_hook(lambda part, given, out: out * 2)
    ),
    "forward_of_its_own": changed(chain(nn.ReLU), _doubled),
    "in_place": chain(lambda: nn.ReLU(inplace=True)),
    "squeezed": two(lambda net, flat: usual(net, flat).squeeze()),
    "double": changed(two(lambda net, flat: usual(net, flat.double())), lambda net: net.double()),
    "assigned": two(_assigned),
    "remembering": two(_remembering),
    "equal_for_every_seed": changed(two(), _filled),
    "batch_norm": lambda shape, classes: nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(512, classes),
    ),
    "batch_norm_of_a_chain": chain(lambda: nn.BatchNorm1d(32), nn.ReLU),
    "cumulative_batch_norm": chain(lambda: nn.BatchNorm1d(32, momentum=None)),
    "spectral_norm": changed(two(), lambda net: nn.utils.parametrizations.spectral_norm(net.inner)),
    "buffer_of_a_seed": changed(
        two(lambda net, flat: usual(net, flat + net.noise)),
        lambda net: net.register_buffer("noise", torch.rand(64)),
    ),
    "assigned_buffer": changed(
        two(_averaging), lambda net: net.register_buffer("mean", torch.zeros(32))
    ),
    "counted": lambda shape, classes: Counted(classes),
    "dropout": chain(nn.Dropout, nn.ReLU),
    "functional_dropout": two(_dropped(0.3)),
    "rare_dropout": two(_dropped(1e-9)),
    "attention": lambda shape, classes: Attention(classes, 0.2),
    "self_attention_with_dropout": lambda shape, classes: SelfAttention(classes, 0.5),
    "recurrent_dropout": lambda shape, classes: Rows(classes, 2, 0.3),
    "conv1d": lambda shape, classes: nn.Sequential(
        nn.Flatten(1, 2), nn.Conv1d(8, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, classes)
    ),
    "viewed": lambda shape, classes: Viewed(classes),
    "scaled": changed(
        two(lambda net, flat: usual(net, flat) * net.scale),
        lambda net: setattr(net, "scale", nn.Parameter(torch.tensor(1.5))),
    ),
}
"""Those that packs compute as plain PyTorch does."""


def _hidden(net: Any, flat: Tensor) -> Tensor:
    found: Tensor = torch.relu(net.inner(flat))
    return found


def _growing(net: Any, flat: Tensor) -> Tensor:
    if not hasattr(net, "scale"):
        net.scale = nn.Parameter(torch.ones(32))
    found: Tensor = net.out(net.inner(flat) * net.scale)
    return found


def _stateful(net: Any, flat: Tensor) -> Tensor:
    hidden = torch.relu(net.inner(flat))
    before, net.before = getattr(net, "before", 0.0), hidden.detach().mean(0)
    found: Tensor = net.out(hidden + before)
    return found


def _counting(net: Any, flat: Tensor) -> Tensor:
    net.calls += 1
    return usual(net, flat) / max(1.0, float(net.calls) / 1000)


def _counting_in_a_tensor(net: Any, flat: Tensor) -> Tensor:
    net.step = net.step + 1  # neither a parameter nor a buffer
    return usual(net, flat) * (1.0 if float(net.step) < 40 else 2.0)


def _on_its_input(net: Any, flat: Tensor) -> Tensor:
    return usual(net, flat.mul_(0.5))


def _clamping(net: Any, flat: Tensor) -> Tensor:
    with torch.no_grad():
        net.inner.weight.clamp_(-0.05, 0.05)
    return usual(net, flat)


def _private_noise(shape: Shape, classes: int) -> nn.Module:
    source = torch.Generator().manual_seed(0)
    return Two(classes, lambda net, flat: usual(net, flat + torch.rand(64, generator=source)))


def _outside(shape: Shape, classes: int) -> nn.Module:
    hidden = [nn.Linear(64, 64)]  # in a plain list, which no module looks into
    return Two(classes, lambda net, flat: usual(net, hidden[0](flat)))


def _numpy_values(net: Any) -> None:
    with torch.no_grad():
        net.inner.weight.copy_(torch.from_numpy(np.random.randn(32, 64)))


def _shuffled(shape: Shape, classes: int) -> nn.Module:
    return Two(classes, lambda net, flat: usual(net, flat[:, net.order]), order=torch.randperm(64))


def _raises(shape: Shape, classes: int) -> nn.Module:
    raise ValueError("no\nway")


def _exits(shape: Shape, classes: int) -> nn.Module:
    raise SystemExit(0)


_ONCE = Two(10, usual)

DRAWS = "draws random numbers in training: "
JUDGED = "draws random numbers where it is judged: "
REFUSED: dict[str, tuple[Any, str]] = {
    "batch_norm_without_statistics": (
        chain(lambda: nn.BatchNorm1d(32, track_running_stats=False)),
        "judges an example by those beside it in the batch, such as 2 (BatchNorm1d)",
    ),
    "batch_mean": (
        two(lambda net, flat: usual(net, flat - flat.mean(0))),
        "judges an example by those beside it in the batch; allowed",
    ),
    "gumbel": (
        two(lambda net, flat: net.out(functional.gumbel_softmax(net.inner(flat)))),
        f"{JUDGED}its forward; allowed: in training",
    ),
    "always_noisy": (
        two(lambda net, flat: usual(net, flat + 0.1 * torch.randn_like(flat))),
        f"{JUDGED}its forward",
    ),
    "numpy_noise": (
        two(lambda net, flat: usual(net, flat) + np.random.rand()),
        f"{DRAWS}its forward; which have no seed",
    ),
    "python_noise": (
        two(lambda net, flat: usual(net, flat) + random.random()),
        f"{DRAWS}its forward; which have no seed",
    ),
    "noise_when_judged": (
        two(lambda net, flat: usual(net, flat) + (0 if net.training else torch.rand(1))),
        JUDGED,
    ),
    "private_noise": (_private_noise, "gives other logits for the same examples in training"),
    "frozen": (
        changed(chain(nn.Tanh), lambda net: net[1].requires_grad_(False)),
        "parameter 1.weight has requires_grad=False",
    ),
    "half": (
        changed(two(), lambda net: net.bfloat16()),
        "parameter inner.weight is torch.bfloat16",
    ),
    "lazy": (
        lambda shape, classes: nn.Sequential(nn.Flatten(), nn.LazyLinear(classes)),
        "1.weight has no shape before the first images",
    ),
    "growing": (two(_growing), "parameter scale comes or goes in forward"),
    "unused": (
        changed(two(), lambda net: net.add_module("spare", nn.Linear(64, 64))),
        "parameter spare.weight gets no gradient",
    ),
    "detached": (
        two(lambda net, flat: net.out(net.inner(flat).detach())),
        "parameter inner.weight gets no gradient",
    ),
    "stateful": (two(_stateful), "gives other logits for the same examples in training"),
    "counting": (two(_counting, calls=0), "its forward changes calls from call to call"),
    "counting_in_a_tensor": (
        two(_counting_in_a_tensor, step=torch.zeros(())),
        "its tensor step changes from call to call",
    ),
    "on_its_input": (two(_on_its_input), "its forward changes the examples it is given"),
    "clamping": (two(_clamping), "its forward changes parameter inner.weight where it is judged"),
    "gradient_hook": (
        changed(chain(nn.ReLU), lambda net: net[1].weight.register_hook(lambda slope: slope / 2)),
        "parameter 1.weight gets another gradient in a pack than in plain PyTorch",
    ),
    "outside": (_outside, "gives other logits in a pack than in plain PyTorch: it holds values"),
    "shuffled": (_shuffled, "gives other logits in a pack than in plain PyTorch: it holds values"),
    "checkpointed": (
        two(lambda net, flat: net.out(checkpoint(_hidden, net, flat, use_reentrant=False))),
        "a pack cannot run it: RuntimeError: ",
    ),
    "one_output": (
        lambda shape, classes: nn.Sequential(nn.Flatten(), nn.Linear(64, 1)),
        "must return logits [batch, 10], here [6, 10], returned [6, 1]",
    ),
    "tuple_output": (
        two(lambda net, flat: (usual(net, flat), flat)),  # type: ignore[arg-type, return-value]
        "must return logits [batch, 10], here [6, 10], returned a tuple",
    ),
    "whole_output": (
        two(lambda net, flat: usual(net, flat).long()),
        "must return logits [batch, 10], here [6, 10], returned torch.int64",
    ),
    "flat_from_the_second": (
        lambda shape, classes: nn.Sequential(nn.Flatten(2), nn.Linear(64, classes)),
        "must return logits [batch, 10], here [6, 10], returned [6, 1, 10]",
    ),
    "too_wide": (
        lambda shape, classes: nn.Sequential(nn.Flatten(), nn.Linear(65, classes)),
        "its forward on (6, 1, 8, 8) examples: RuntimeError: ",
    ),
    "weightless": (lambda shape, classes: nn.Flatten(), "has no weight of two or more dimensions"),
    "no_module": (lambda shape, classes: usual, "must return a torch.nn.Module, got function"),
    "other_arguments": (
        lambda shape, classes, width: Two(classes, usual),
        "the call with ((1, 8, 8), 10): TypeError: ",
    ),
    "raises": (_raises, "the call with ((1, 8, 8), 10): ValueError: no"),
    "exits": (_exits, "the call with ((1, 8, 8), 10): SystemExit: 0"),
    "numpy_values": (changed(two(), _numpy_values), "inner.weight differs between two calls"),
    "same_module": (lambda shape, classes: _ONCE, "returns the same module at every call"),
}


def __getattr__(name: str) -> Any:
    """Let `network_cases:harmless_tied` be found as a factory."""
    kind, _, key = name.partition("_")
    if kind == "harmless" and key in HARMLESS:
        return HARMLESS[key]
    if kind == "refused" and key in REFUSED:
        return REFUSED[key][0]
    raise AttributeError(name)

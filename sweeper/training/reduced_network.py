"""Reduced network: an equal one without idle parts, of any module that can be followed.

Idle is what cannot reach the outputs, and what gives the same for all examples and can be folded
into a bias behind it. Layers with weights are linear ones, convolutions, and batch norm, which is
affine where networks are judged; all else is in `entry_flow.py`. Exact: what is folded is folded at
all places where a weight acts, or not at all. A constant that meets zeros of padding differs at the
border, so that what gives it stays, and counts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.fx import Node
from torch.nn.modules.batchnorm import _BatchNorm

from sweeper.errors import first_line
from sweeper.training.affine_places import AffinePlaces
from sweeper.training.entry_flow import Back, Entries, Needs, rule_of
from sweeper.training.traced_network import NotFollowed, TracedNetwork

_ROUNDING = 1e-9
"""Relative difference up to which levels in float64 are one."""
T = TypeVar("T")
Network = Mapping[str, Tensor]
"""Parameters and buffers of one network, by name."""


def reduced(traced: TracedNetwork, network: Network, entries: Entries) -> dict[str, Tensor]:
    """Return parameters and buffers of the equal network without idle parts, in float64.

    `entries` are those of the examples. Raises NotFollowed for a module with a part that no rule
    is known for.
    """
    walk = _Walk(traced, _doubled(network), folds=True)
    walk.follow(entries)
    return {**walk.network, **walk.left}


def alive(traced: TracedNetwork, network: Network, shape: tuple[int, ...]) -> dict[str, Tensor]:
    """Return by name the entries of parameters that lead on to the outputs, bool.

    As if everything varied and nothing were folded; `shape` is that of an example. Raises
    NotFollowed.
    """
    walk = _Walk(traced, _doubled(network), folds=False)
    nothing = torch.zeros(shape, dtype=torch.bool)
    walk.follow(Entries.of_examples(nothing, torch.zeros(shape)))
    return {name: value != 0 for name, value in walk.left.items() if name not in walk.buffers}


def _told(node: Node, rule: Callable[[], T]) -> T:
    """Return what a rule gives. Raises NotFollowed whatever it raises."""
    try:
        return rule()
    except NotFollowed:
        raise
    except Exception as error:  # of a user's code, which is run on two examples
        reason = first_line(error)
        raise NotFollowed(f"its code fails at {node.name}: {reason}") from None


def _doubled(network: Network) -> dict[str, Tensor]:
    return {name: value.detach().cpu().double() for name, value in network.items()}


@dataclass(slots=True, eq=False)
class _Walk:
    """One network, followed from its inputs to its outputs and back."""

    traced: TracedNetwork
    network: dict[str, Tensor]
    folds: bool
    left: dict[str, Tensor] = field(default_factory=dict)
    """What remains of the parameters; without folding, 1 where they lead on."""
    buffers: set[str] = field(default_factory=set)
    """Names in `left` that are no parameters."""

    def follow(self, entries: Entries) -> None:
        for name, _ in self.traced.module.named_parameters():
            self.left[name] = torch.zeros_like(self.network[name])  # of a layer that is not used
        seen: dict[Node, Any] = {}
        ways: list[tuple[Node, Back]] = []
        last: Node | None = None
        for node in self.traced.graph.nodes:
            if node.op == "placeholder":
                if seen:
                    raise NotFollowed("its code takes more than one input")
                seen[node] = entries
            elif node.op == "output":
                last = node.args[0] if isinstance(node.args[0], Node) else None
            else:
                seen[node], back = _told(node, partial(self._rule, node, seen))
                ways.append((node, back))
        if last is None or not isinstance(out := seen[last], Entries):
            raise NotFollowed("its outputs are no tensor of its layers")
        needs = {last: torch.ones_like(out.varies)}
        for node, back in reversed(ways):
            if (need := needs.pop(node, None)) is None:
                continue
            for before, more in _told(node, partial(back, need)):
                needs[before] = more | needs[before] if before in needs else more

    def _rule(self, node: Node, seen: Mapping[Node, Any]) -> tuple[Any, Back]:
        layer = self.traced.layer(node) if node.op == "call_module" else None
        if type(layer) in (nn.Linear, nn.Conv1d, nn.Conv2d):
            before = node.all_input_nodes[0]
            return _AffineLayer.of(self, node, layer, seen[before]).rule(before)
        if isinstance(layer, _BatchNorm):
            before = node.all_input_nodes[0]
            return self._norm(str(node.target), layer, before, seen[before])
        return rule_of(node, layer, seen)

    def _norm(
        self, name: str, layer: _BatchNorm, before: Node, entries: Entries
    ) -> tuple[Entries, Back]:
        """Return the rule of a batch norm, which has a factor and a shift for each channel."""
        if type(layer) not in (nn.BatchNorm1d, nn.BatchNorm2d) or layer.running_mean is None:
            raise NotFollowed(f"its layer {name} is a {type(layer).__name__} without running means")
        mean, variance = (self.network[f"{name}.running_{part}"] for part in ("mean", "var"))
        scale = self.network.get(f"{name}.weight", torch.ones_like(mean))
        shift = self.network.get(f"{name}.bias", torch.zeros_like(mean))
        factor = scale / (variance + layer.eps).sqrt()
        along = (1, -1, *[1] * (entries.level.ndim - 2))
        passes = (factor != 0).view(along)
        varies = (entries.varies & passes) | torch.tensor(not self.folds)
        level = factor.view(along) * entries.level + (shift - factor * mean).view(along)
        level = level.masked_fill(varies, 0)
        uniform = _of_channels(varies).logical_not().all(1) & _is_one(_of_channels(level))
        uniform &= torch.tensor(self.folds and layer.affine)
        levels = _of_channels(level)[:, 0]
        collapsed = uniform.view(along)
        free = (collapsed & (level == 0)).expand_as(varies)
        out = Entries(varies, level, free, collapsed.expand_as(varies))

        def back(need: Tensor) -> Needs:
            needed = _of_channels(need).any(1)
            if layer.affine:
                if self.folds:
                    self.left[f"{name}.weight"] = scale * (needed & ~uniform)
                    self.left[f"{name}.bias"] = torch.where(uniform, levels, shift) * needed
                else:
                    self.left[f"{name}.weight"] = self.left[f"{name}.bias"] = needed.double()
            return [(before, need & ~collapsed & passes & ~entries.free)]

        return out, back


@dataclass(slots=True, eq=False)
class _AffineLayer:
    """A linear layer or convolution: one matrix product at each of some places.

    Of its inputs each place sees columns [groups, inputs], and gives outputs [groups, outputs].
    """

    walk: _Walk
    name: str
    layer: nn.Linear | nn.Conv1d | nn.Conv2d
    inputs: Entries
    weight: Tensor
    """[groups, outputs, inputs]"""
    bias: Tensor
    """[outputs]: 0 where it has none."""
    holder: str
    """The parameter or buffer that takes what is folded: its bias, the means of a batch norm right
    behind it, or empty."""

    @classmethod
    def of(cls, walk: _Walk, node: Node, layer: Any, inputs: Entries) -> "_AffineLayer":
        name = str(node.target)
        if getattr(layer, "padding_mode", "zeros") != "zeros":
            raise NotFollowed(f"its layer {name} fills borders by {layer.padding_mode}")
        weight, holder = walk.network[f"{name}.weight"], ""
        bias = weight.new_zeros(len(weight))
        if layer.bias is not None:
            holder = f"{name}.bias"
            bias = walk.network[holder]
        elif len(node.users) == 1 and (user := next(iter(node.users))).op == "call_module":
            norm = walk.traced.layer(user)
            if type(norm) in (nn.BatchNorm1d, nn.BatchNorm2d) and norm.running_mean is not None:
                holder = f"{user.target}.running_mean"
        groups = getattr(layer, "groups", 1)
        matrix = weight.reshape(groups, len(weight) // groups, -1)
        return cls(walk, name, layer, inputs, matrix, bias, holder)

    def rule(self, before: Node) -> tuple[Entries, Back]:
        places = AffinePlaces(self.layer, self.inputs.level.shape, len(self.weight))
        varies, level, taken = (
            places.columns(value)
            for value in (self.inputs.varies, self.inputs.level, ~self.inputs.free)
        )  # [groups, inputs, places]
        groups, folds = len(self.weight), self.walk.folds
        constant = ~(varies > 0).any(2) & _is_one(level) & torch.tensor(folds)
        base = level[:, :, 0] * constant
        if not self.holder:  # there is nowhere to fold it into
            constant &= base == 0
        offset = torch.bmm(self.weight, (base * constant)[:, :, None]).flatten()
        weight = self.weight * ~constant[:, None, :]
        bias = self.bias + offset
        moves = torch.bmm((weight != 0).double(), varies) > 0  # [groups, outputs, places]
        moves |= torch.tensor(not folds)
        levels = torch.bmm(weight, level) + bias.view(groups, -1, 1)
        levels = levels.masked_fill(moves, 0)
        uniform = ~moves.any(2) & _is_one(levels) & torch.tensor(folds)  # [groups, outputs]
        if not self.holder:
            uniform &= levels[:, :, 0] == 0
        weight = weight * ~uniform[:, :, None]
        bias = torch.where(uniform, levels[:, :, 0], bias.view(groups, -1)).flatten()
        settled = uniform[:, :, None].expand_as(moves)
        # Values that stay as they are only while their inputs do are not free, zeros among them.
        parts = (moves, levels, settled & (levels == 0), settled)
        out = Entries(*(places.outputs(value) for value in parts))

        def back(need: Tensor) -> Needs:
            needed = places.of_outputs(need).double()  # [groups, outputs, places]
            acts = ((varies > 0) | (level != 0)).double()
            lives = torch.bmm(needed, acts.transpose(1, 2)) > 0
            self._leave(weight * lives, bias, (needed > 0).any(2).flatten())
            asked = torch.bmm((weight * lives != 0).double().transpose(1, 2), needed)
            return [(before, places.inputs((asked > 0) & (taken > 0)))]

        return out, back

    def _leave(self, weight: Tensor, bias: Tensor, needed: Tensor) -> None:
        left, shape = self.walk.left, self.walk.network[f"{self.name}.weight"].shape
        left[f"{self.name}.weight"] = weight.reshape(shape)
        if self.layer.bias is not None:
            left[self.holder] = bias * needed if self.walk.folds else needed.double()
        elif self.holder:  # what is taken from the inputs of batch norm is taken from their means
            left[self.holder] = self.walk.network[self.holder] - bias
            self.walk.buffers.add(self.holder)


def _of_channels(value: Tensor) -> Tensor:
    """Return the entries of each channel of one example, [channels, entries]."""
    return value[0].reshape(value.shape[1], -1)


def _is_one(levels: Tensor) -> Tensor:
    """Tell whether the levels along the last axis are all the same."""
    low, high = levels.amin(-1), levels.amax(-1)
    return high - low <= _ROUNDING * torch.maximum(low.abs(), high.abs())

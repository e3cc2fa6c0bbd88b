"""Entry flow: which entries of what a layer puts out vary between examples, and the others' levels.

Each rule says this of a layer's output by that of its inputs, and the other way which entries of
its inputs are needed for those of its output that are. Rules know no weights: see
`reduced_network.py` for the layers that have any.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node
from torch.fx.node import map_arg
from torch.nn import functional

from sweeper.training.traced_network import NotFollowed

Compute = Callable[..., Any]
Needs = list[tuple[Node, Tensor]]
"""Entries that are needed, bool, of each input."""
Back = Callable[[Tensor], Needs]


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """Entries of what a part of the network puts out, [2, ...]: those of two equal examples."""

    varies: Tensor
    """Whether an entry may differ between examples."""
    level: Tensor
    """Its value where it does not, in float64; 0 where it does."""
    free: Tensor
    """Whether it has its level whatever is removed before it."""
    settled: Tensor
    """Whether it has its level or, if what gives it that is removed, 0."""

    @classmethod
    def of_examples(cls, constant: Tensor, level: Tensor) -> "Entries":
        """Return the entries of examples that are `level` where they are `constant`."""
        values = torch.where(constant, level.double(), 0.0)
        every = torch.ones_like(constant)
        return cls(*(value.expand(2, *value.shape) for value in (~constant, values, every, every)))


ELEMENTWISE_LAYERS = (
    nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout,
    nn.FeatureAlphaDropout, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU,
    nn.SiLU, nn.Mish, nn.Tanh, nn.Sigmoid, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Softplus,
    nn.Softsign, nn.Tanhshrink, nn.LogSigmoid, nn.Softshrink, nn.Hardshrink,
)  # fmt: skip
LINEAR_LAYERS = (
    nn.Flatten, nn.Unflatten, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d, nn.ZeroPad1d, nn.ZeroPad2d, nn.PixelShuffle, nn.ChannelShuffle,
)  # fmt: skip
"""Each output is a sum of inputs, all with factors above 0."""
_ELEMENTWISE = {
    "relu", "relu_", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish", "tanh",
    "sigmoid", "hardtanh", "hardswish", "hardsigmoid", "softplus", "softsign", "neg", "abs",
    "square", "clone", "contiguous", "detach", "double", "float",
}  # fmt: skip
_LINEAR = {
    "flatten", "unflatten", "reshape", "view", "permute", "transpose", "unsqueeze", "squeeze",
    "getitem", "cat", "concat", "stack", "pad", "mean", "sum", "avg_pool1d", "avg_pool2d",
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "movedim", "swapaxes", "view_as",
}  # fmt: skip
_SUMS = {"add": operator.add, "iadd": operator.add, "add_": operator.add}
_WITH_NUMBERS = {
    **_SUMS,
    "mul": operator.mul, "imul": operator.mul, "mul_": operator.mul,
    "sub": operator.sub, "isub": operator.sub, "truediv": operator.truediv,
    "div": operator.truediv,
}  # fmt: skip
_MAX_POOLS: dict[str, Compute] = {
    "max_pool1d": functional.avg_pool1d,
    "max_pool2d": functional.avg_pool2d,
}
_UNDILATED = (1, (1,), (1, 1))


def rule_of(node: Node, layer: nn.Module | None, seen: Mapping[Node, Any]) -> tuple[Any, Back]:
    """Return what a layer without weights or a function puts out, and its rule for needs.

    `seen` are the values of the nodes before: Entries, or what the code computes with beside them.
    Raises NotFollowed.
    """
    inputs = [before for before in node.all_input_nodes if isinstance(seen[before], Entries)]
    if layer is not None:
        return _rule_of_layer(node, layer, inputs[0], seen)
    name = getattr(node.target, "__name__", str(node.target))
    if node.op == "call_function" and not _is_of_torch(node.target):
        raise NotFollowed(f"its code calls {name}")
    if not inputs or name in ("size", "dim", "getattr"):
        return _plain(node, seen), lambda need: []
    run = _function_of(node, name)
    if name in _LINEAR:
        return _linear(node, run, seen)
    if name in _SUMS and len(node.args) == len(inputs) == 2 and not node.kwargs:
        return _linear(node, operator.add, seen)
    if name in _MAX_POOLS:
        return _max_pool(node, name, run, seen)
    if len(inputs) == 1 and (compute := _elementwise_of(node, name, run)):
        return _elementwise(inputs[0], seen[inputs[0]], compute)
    raise NotFollowed(f"its code calls {name}")


def _rule_of_layer(
    node: Node, layer: nn.Module, before: Node, seen: Mapping[Node, Any]
) -> tuple[Entries, Back]:
    if type(layer) in ELEMENTWISE_LAYERS:
        return _elementwise(before, seen[before], lambda x: layer(x.clone()))
    if type(layer) in LINEAR_LAYERS:
        return _linear(node, layer, seen)
    if type(layer) in (nn.MaxPool1d, nn.MaxPool2d) and layer.dilation in _UNDILATED:
        average = _MAX_POOLS["max_pool1d" if type(layer) is nn.MaxPool1d else "max_pool2d"]
        size = [getattr(layer, key) for key in ("kernel_size", "stride", "padding", "ceil_mode")]
        if not layer.return_indices:
            return _linear(node, lambda x: average(x, *size), seen, levels=layer)
    raise NotFollowed(f"its layer {node.target} is a {type(layer).__name__}")


def _function_of(node: Node, name: str) -> Compute:
    if node.op != "call_method":
        if not callable(node.target):
            raise AssertionError(f"{node.format_node()} calls nothing")
        return node.target

    def run(value: Tensor, *args: Any, **kwargs: Any) -> Any:
        return getattr(value, name)(*args, **kwargs)

    return run


def _max_pool(
    node: Node, name: str, run: Compute, seen: Mapping[Node, Any]
) -> tuple[Entries, Back]:
    usual = {"kernel_size": None, "stride": None, "padding": 0, "dilation": 1, "ceil_mode": False}
    given = dict(zip(usual, node.args[1:], strict=False)) | dict(node.kwargs)
    indices = given.pop("return_indices", False) or len(node.args) > len(usual) + 1
    known: dict[str, Any] = {**usual, **given}
    if indices or known.pop("dilation") not in _UNDILATED:
        raise NotFollowed(f"its code calls {name} with indices or dilation")
    average = _MAX_POOLS[name]
    return _linear(node, lambda x, *_, **__: average(x, **known), seen, levels=run)


def _elementwise_of(node: Node, name: str, run: Compute) -> Compute | None:
    """Return what a function does to each entry of its one input; None if it does more."""
    first, *further = node.args
    keys = {key: value for key, value in node.kwargs.items() if key != "inplace"}
    if name == "dropout":
        given = dict(zip(("p", "training"), further, strict=False)) | keys
        drops = given.get("training", True) and given.get("p", 0.5) != 0
        return None if drops else lambda x: x
    if name in _WITH_NUMBERS and len(further) == 1 and not keys:
        sign, second = _WITH_NUMBERS[name], further[0]
        if isinstance(second, int | float):
            return lambda x: sign(x, second)
        return (lambda x: sign(first, x)) if isinstance(first, int | float) else None
    if name in ("relu", "relu_"):
        return torch.relu
    if name in _ELEMENTWISE and isinstance(first, Node):
        return lambda x: run(x, *further, **keys)
    return None


def _is_of_torch(target: object) -> bool:
    home = str(getattr(target, "__module__", None) or "torch")
    return home.partition(".")[0] in ("torch", "_operator", "operator", "builtins")


def _plain(node: Node, seen: Mapping[Node, Any]) -> Any:
    """Compute with sizes and numbers; of entries, their size alone is looked at."""

    def value(before: Node) -> Any:
        known = seen[before]
        return known.level if isinstance(known, Entries) else known

    args, kwargs = map_arg(node.args, value), map_arg(node.kwargs, value)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    if node.target is getattr and args[1] not in ("shape", "ndim"):
        raise NotFollowed(f"its code asks for .{args[1]}")
    if not callable(node.target):
        raise AssertionError(f"{node.format_node()} calls nothing")
    return node.target(*args, **kwargs)


def _elementwise(before: Node, entries: Entries, run: Compute) -> tuple[Entries, Back]:
    level = run(entries.level)
    of_zero = run(torch.zeros_like(entries.level))
    out = Entries(
        entries.varies,
        level.masked_fill(entries.varies, 0),
        entries.free | (entries.settled & (level == of_zero)),
        entries.settled & (of_zero == 0),
    )
    return out, lambda need: [(before, need & ~entries.free)]


def _linear(
    node: Node, run: Compute, seen: Mapping[Node, Any], *, levels: Compute | None = None
) -> tuple[Entries, Back]:
    """Return the rule of what sums inputs up with factors above 0, or picks, or puts zeros between.

    `levels` computes what the level of constant entries is, if that is not their sum.
    """
    inputs = [before for before in node.all_input_nodes if isinstance(seen[before], Entries)]

    def compute(values: Sequence[Tensor], function: Compute = run) -> Tensor:
        named = dict(zip(inputs, values, strict=True))

        def value(before: Node) -> Any:
            return named.get(before, seen[before])

        out = function(*map_arg(node.args, value), **map_arg(node.kwargs, value))
        if not isinstance(out, Tensor) or out.ndim < 1 or len(out) != 2:
            raise NotFollowed(f"its code takes examples apart or together at {node.name}")
        return out

    each: list[Entries] = [seen[before] for before in inputs]
    for example in (0, 1):
        marks = [torch.zeros_like(entries.level) for entries in each]
        for mark in marks:
            mark[example] = 1
        mixed = compute(marks)
        if mixed[1 - example].any() or (mixed < 0).any():
            raise NotFollowed(f"its code mixes examples, or adds numbers, at {node.name}")
    varies = compute([entries.varies.double() for entries in each]) > 0
    free = compute([(~entries.free).double() for entries in each]) == 0
    level = compute([entries.level for entries in each], levels or run)
    settled = torch.zeros_like(varies)

    def back(need: Tensor) -> Needs:
        leaves = [torch.zeros_like(entries.level).requires_grad_() for entries in each]
        with torch.enable_grad():
            total = (compute(leaves) * need).sum()
        slopes = torch.autograd.grad(total, leaves)
        pairs = zip(inputs, slopes, each, strict=True)
        return [(before, (slope != 0) & ~entries.free) for before, slope, entries in pairs]

    return Entries(varies, level.masked_fill(varies, 0), free, settled), back

"""Sparse fine-tuning: MLPs trained on a CPU through the weights that are left.

By the compiled steps of `kernels.sparse_steps`. Up to `MAX_DENSITY` of the weights; beyond it the
dense products of `separate_mlp` are faster.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sweeper.kernels import sparse_steps
from sweeper.kernels.jit import Array
from sweeper.kernels.optimizer_steps import LinearPenalties
from sweeper.kernels.sparse_products import Starts, gather_columns
from sweeper.kernels.sparse_steps import OptimizerState, SparseMLPs, StepBuffers
from sweeper.kernels.vector_blocks import LANES
from sweeper.training.loaded_data import DataSplit
from sweeper.training.losses import Loss
from sweeper.training.optimizers import BETA2, EPS, FORGET_EVERY, TRACE, OptimizerChoice
from sweeper.training.stack import Layers, Stack

MAX_DENSITY, MAX_DENSITY_LARGE_BATCH, LARGE_BATCH = 0.35, 0.2, 256
"""Density up to which networks are trained so, on any processor; the second by batches of more than
so many examples, with which dense products gain more: at 500 a density of 0.05 takes 0.25 of their
time, 0.35 takes 1.5.

A step of LeNet-300-100 by SGD at batch 128 on one thread of a Zen 5, in packs of 8 and of 1, beside
the dense step (a third slower where `kernels.matmul` is not the faster library):

| density | 0.0065 | 0.0125 | 0.025 | 0.05 | 0.1 | 0.2 | 0.3 | 0.5 |
|---|---|---|---|---|---|---|---|---|
| of 8 | 0.06 | 0.08 | 0.10 | 0.16 | 0.27 | 0.44 | 0.69 | 1.3 |
| alone | 0.08 | 0.10 | 0.12 | 0.16 | 0.28 | 0.45 | 0.64 | 1.1 |

With more weights its memory, too, would be more than that of the dense one."""
WORK_AT_ONCE = 1 << 28
"""Weights x examples that are gone through by one call of compiled code: 0.03 s, in which nothing
else of the process runs."""


def trains(layers: Layers | None, stack: Stack, masks: Stack, batch_size: int) -> list[bool]:
    """Tell for each network of a stack whether it is trained so: by the count of its weights."""
    first = next(iter(stack.values()))
    if layers is None or first.device.type != "cpu" or first.dtype != torch.float32:
        return [False] * len(first)
    weights = [stack[weight] for weight, _ in layers]
    bound = MAX_DENSITY_LARGE_BATCH if batch_size > LARGE_BATCH else MAX_DENSITY
    most = bound * sum(weight[0].numel() for weight in weights)
    left = torch.zeros(len(first), dtype=torch.int64)
    for (name, _), weight in zip(layers, weights, strict=True):
        left += masks[name].flatten(1).sum(1) if name in masks else weight[0].numel()
    return [count <= most for count in left.tolist()]


@dataclass(slots=True, eq=False)
class SparseFineTuning:
    """Some networks of a stack in training; the stack itself changes by `write` alone."""

    layers: Layers
    stack: Stack
    masks: Stack
    networks: tuple[int, ...]
    part: DataSplit
    loss: Loss
    rate: Tensor
    """[networks]"""
    _nets: SparseMLPs
    _state: OptimizerState
    _room: StepBuffers
    _pixels: Starts
    """Inputs that any weight reads."""
    _at_once: int
    _waiting: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    """Examples and learning rates of the next steps."""
    _taken: int = 0

    @classmethod
    def of(
        cls,
        layers: Layers,
        stack: Stack,
        masks: Stack,
        networks: Sequence[int],
        part: DataSplit,
        batch_size: int,
        loss: Loss,
        choice: OptimizerChoice,
        rate: Tensor,
    ) -> "SparseFineTuning":
        """Begin with the numbered networks of a stack; `choice` and `rate` are of all of it."""
        pixels, nets = _flat(layers, stack, masks, networks)
        places = torch.tensor(networks)
        rows, sizes = nets.starts.shape[1] - 1, np.diff(nets.begins)
        columns = -(-batch_size // LANES) * LANES
        room = StepBuffers(
            inputs=np.zeros((len(pixels), columns), np.float32),
            hidden=np.zeros((rows, columns), np.float32),
            back=np.zeros((rows, columns), np.float32),
            gradient=np.empty(sizes.max(), np.float32),
            turned=np.empty(np.diff(nets.turned_begins).max(), np.float32),
        )
        work = int(sizes.sum()) * columns
        return cls(
            layers,
            stack,
            masks,
            tuple(networks),
            part,
            loss,
            rate[places],
            nets,
            _state(choice, places, len(nets.values)),
            room,
            pixels,
            max(1, WORK_AT_ONCE // max(1, work)),
        )

    def take(self, index: Tensor, factor: float, changed: DataSplit | None = None) -> None:
        """Take a step on the examples at some indices, or on `changed` ones; perhaps later."""
        rates = self.rate * factor
        examples = self.part.examples
        if changed is None and self._has_loop and examples.is_contiguous():
            self._waiting.append((index, rates))
            if len(self._waiting) >= self._at_once:
                self.flush()
            return
        batch = self.part.at(index) if changed is None else changed
        if self._has_loop:
            self._steps(batch, torch.arange(len(batch))[None], rates[None])
        else:
            self._step(batch, rates)

    def flush(self) -> None:
        """Take the steps that were put off."""
        if self._waiting:
            index, rates = (torch.stack(column) for column in zip(*self._waiting, strict=True))
            self._waiting.clear()
            self._steps(self.part, index, rates)

    def write(self) -> None:
        """Write the networks as they are by now into the stack."""
        self.flush()
        for place, k in enumerate(self.networks):
            begin, end = self._nets.begins[place : place + 2]
            left = torch.from_numpy(self._nets.values[begin:end])
            for weight, _ in self.layers:
                into, mask = self.stack[weight][k], _mask(self.masks, weight, self.stack, k)
                count = int(mask.sum())
                into[mask], left = left[:count], left[count:]
            for _, bias in self.layers:
                into = self.stack[bias][k]
                into.copy_(left[: len(into)])
                left = left[len(into) :]

    @property
    def _has_loop(self) -> bool:
        """Whether its loss is compiled."""
        is_plain = self.loss.config.name == "cross_entropy" and self.loss.teacher is None
        return is_plain and not self.part.labels.is_floating_point()

    def _steps(self, part: DataSplit, index: Tensor, rates: Tensor) -> None:
        sparse_steps.cross_entropy_steps(
            self._nets,
            self._state,
            self._room,
            part.examples.flatten(1).numpy(),
            part.labels.numpy(),
            self._pixels,
            index.numpy(),
            rates.numpy(),
            self._taken,
            np.float32(self.loss.config.label_smoothing),
        )
        self._taken += len(index)

    def _step(self, batch: DataSplit, rates: Tensor) -> None:
        """Take a step along a loss that only PyTorch knows."""
        nets, room = self._nets, self._room
        everywhere = np.arange(len(batch))
        examples: Array = batch.examples.flatten(1).contiguous().numpy()
        gather_columns(examples, everywhere, self._pixels, room.inputs)
        guide = self.loss.guide(batch.examples)
        output = int(nets.layer_rows[-2])
        self._taken += 1
        for place in range(len(self.networks)):
            sparse_steps.forward(nets, place, room)
            logits = torch.from_numpy(room.hidden[output:, : len(batch)]).T.contiguous()
            slopes = self.loss.gradient(logits[None], batch.labels, guide)
            room.back[output:, : len(batch)] = slopes[0].T.numpy()
            sparse_steps.backward(nets, place, room)
            sparse_steps.update(nets, place, self._state, room, rates.numpy(), self._taken)


def _mask(masks: Stack, name: str, stack: Stack, k: int) -> Tensor:
    """Return the mask of the weights of network k that are trained, [out, in]."""
    if name in masks:
        return masks[name][k]
    return torch.ones_like(stack[name][k], dtype=torch.bool)


def _flat(
    layers: Layers, stack: Stack, masks: Stack, networks: Sequence[int]
) -> tuple[Starts, SparseMLPs]:
    """Return the inputs that any of the networks reads, and the networks."""
    first = layers[0][0]
    reads = torch.zeros(stack[first].shape[2], dtype=torch.bool)
    for k in networks:
        reads |= _mask(masks, first, stack, k).any(0)
    place_of = reads.cumsum(0) - 1  # among the inputs that are read
    outputs = [stack[bias].shape[1] for _, bias in layers]
    layer_rows = np.cumsum([0, *outputs])
    values, inputs_of, outside, starts = [], [], [], []
    turned, outputs_of, turned_starts = [], [], []
    for k in networks:
        counts, behind = [torch.zeros(1, dtype=torch.int64)], [torch.zeros(1, dtype=torch.int64)]
        before, turned_here, outputs_here = 0, [], []
        for index, (weight, _) in enumerate(layers):
            mask = _mask(masks, weight, stack, k)
            column = mask.nonzero()[:, 1]
            values.append(stack[weight][k][mask])
            inputs_of.append(place_of[column] if index == 0 else column + layer_rows[index - 1])
            outside.append(torch.zeros(len(column), dtype=torch.bool))
            counts.append(mask.sum(1))
            if index:
                number = (mask.flatten().cumsum(0) - 1).view_as(mask) + before
                turned_here.append(number.T[mask.T])
                outputs_here.append(mask.T.nonzero()[:, 1] + layer_rows[index])
                behind.append(mask.sum(0))
            before += len(column)
        for _, bias in layers:
            values.append(stack[bias][k])
            is_dead = ~masks[bias][k] if bias in masks else torch.zeros_like(values[-1]).bool()
            outside.append(is_dead)
            inputs_of.append(torch.zeros(len(is_dead), dtype=torch.int64))
        starts.append(torch.cat(counts).cumsum(0))
        turned_starts.append(torch.cat(behind).cumsum(0))
        turned.append(torch.cat(turned_here) if turned_here else torch.zeros(0, dtype=torch.int64))
        outputs_of.append(torch.cat(outputs_here) if outputs_here else turned[-1])
    rows = int(layer_rows[-1])
    sizes = [int(each[-1]) + rows for each in starts]
    return reads.nonzero()[:, 0].numpy(), SparseMLPs(
        layer_rows=layer_rows,
        begins=np.cumsum([0, *sizes]),
        starts=torch.stack(starts).numpy(),
        values=torch.cat(values).numpy(),
        inputs_of=torch.cat(inputs_of).int().numpy(),
        outside=torch.cat(outside).numpy(),
        turned_begins=np.cumsum([0, *map(len, turned)]),
        turned=torch.cat(turned).numpy(),
        outputs_of=torch.cat(outputs_of).int().numpy(),
        turned_starts=torch.stack(turned_starts).numpy(),
    )


def _state(choice: OptimizerChoice, networks: Tensor, parameters: int) -> OptimizerState:
    momentum = choice.momentum[networks]
    decay = torch.zeros_like(momentum) if choice.decay is None else choice.decay[networks]
    coupled = torch.zeros_like(decay) if choice.name == "adamw" else decay
    is_adam = choice.name != "sgd"
    lines = LinearPenalties.none(len(networks)).plus("loss", 0.0, coupled)
    return OptimizerState(
        is_adam=is_adam,
        first=np.zeros(parameters, np.float32),
        second=np.zeros(parameters if is_adam else 0, np.float32),
        momentum=momentum.numpy(),
        lines=lines.values.numpy(),
        decoupled=(decay - coupled).numpy(),
        powers=np.ones((2, len(networks))),
        forget_every=FORGET_EVERY,
        trace=TRACE,
        beta2=BETA2,
        eps=EPS,
    )

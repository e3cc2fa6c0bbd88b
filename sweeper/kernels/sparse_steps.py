"""Sparse steps: training steps of MLPs through the weights that are left, many by one call.

The parameters of the networks of a pack lie one after the other in flat arrays: of each its
weights row by row, then its biases. A batch is gathered once for all of them, the inputs alone
that any of them reads. Each network computes by itself, so that its bits do not depend on others.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sweeper.kernels.fast_math import exp_less
from sweeper.kernels.jit import Array, jit
from sweeper.kernels.optimizer_steps import (
    adam_loop,
    cut_loop,
    forget_loop,
    masked_sgd_loop,
    momentum_loop,
)
from sweeper.kernels.sparse_products import (
    Integers,
    Starts,
    add_product,
    entry_gradients,
    gather_columns,
    rectify,
)

Doubles = NDArray[np.float64]


class SparseMLPs(NamedTuple):
    """Networks of one architecture by the parameters that are trained, [parameters] each.

    A row is a unit of any layer but the inputs; rows are counted through all layers.
    """

    layer_rows: Starts
    """First row of each layer, and their number, [layers + 1]."""
    begins: Starts
    """First parameter of each network, and their number, [pack + 1]."""
    starts: Starts
    """First weight of each row, and the first bias, counted from the network's, [pack, rows + 1]"""
    values: Array
    inputs_of: Integers
    """What each weight reads: a place among the live inputs, then a row; nothing for a bias."""
    outside: NDArray[np.bool_]
    """Parameters that are set to 0 at every step."""
    turned_begins: Starts
    """First entry of each network in the next two, and their number, [pack + 1]."""
    turned: Starts
    """Weights behind the first layer by what they read, counted from the network's first."""
    outputs_of: Integers
    """The row that each of these leads to."""
    turned_starts: Starts
    """First of these of each hidden row, and their number, [pack, hidden rows + 1]."""


class OptimizerState(NamedTuple):
    """What an optimizer keeps of some networks: SGD the first moments, Adam all."""

    is_adam: bool
    first: Array
    second: Array
    momentum: Array
    """[pack] each, from here on: momentum of SGD, beta1 of Adam"""
    lines: Array
    """Decay in the loss, as linear penalties, [pack, 8]"""
    decoupled: Array
    powers: Doubles
    """Powers of Adam's betas, [2, pack]"""
    forget_every: int
    trace: float
    beta2: float
    eps: float


class StepBuffers(NamedTuple):
    """Room for a step of one network, and for a batch, filled up to a multiple of 16.

    The examples that fill it are 0, and so are their slopes in the logits.
    """

    inputs: Array
    """[live inputs, columns]"""
    hidden: Array
    """[rows, columns]: what each unit gives."""
    back: Array
    """[rows, columns]: slopes of the loss in what each unit adds up."""
    gradient: Array
    """[parameters of the largest network]"""
    turned: Array
    """Weights behind the first layer, by what they read."""


@jit
def forward(nets: SparseMLPs, k: int, room: StepBuffers) -> None:
    """Fill `room.hidden` from `room.inputs`; its last rows are the logits."""
    begin, end = nets.begins[k], nets.begins[k + 1]
    values, inputs_of, starts = nets.values[begin:end], nets.inputs_of[begin:end], nets.starts[k]
    hidden, rows, last = room.hidden, nets.layer_rows, nets.layer_rows.size - 2
    biases = values[starts[rows[last + 1]] :]
    for row in range(hidden.shape[0]):
        hidden[row, :] = biases[row]
    for layer in range(last + 1):
        here = hidden[rows[layer] : rows[layer + 1]]
        inputs = room.inputs if layer == 0 else hidden
        add_product(values, inputs_of, starts[rows[layer] :], inputs, here)
        if layer < last:
            rectify(here)


@jit
def backward(nets: SparseMLPs, k: int, room: StepBuffers) -> None:
    """Fill `room.gradient` from the slopes in the logits, the last rows of `room.back`."""
    begin, end = nets.begins[k], nets.begins[k + 1]
    values, inputs_of, starts = nets.values[begin:end], nets.inputs_of[begin:end], nets.starts[k]
    first, stop = nets.turned_begins[k], nets.turned_begins[k + 1]
    turned, outputs_of = nets.turned[first:stop], nets.outputs_of[first:stop]
    hidden, back, rows, last = room.hidden, room.back, nets.layer_rows, nets.layer_rows.size - 2
    weights = room.turned[: stop - first]
    for i in range(turned.size):
        weights[i] = values[turned[i]]
    for layer in range(last - 1, -1, -1):
        here = back[rows[layer] : rows[layer + 1]]
        here[:] = np.float32(0)
        add_product(weights, outputs_of, nets.turned_starts[k, rows[layer] :], back, here)
        for row in range(here.shape[0]):
            slopes, outputs = here[row], hidden[rows[layer] + row]
            for i in range(slopes.size):
                # Units that are off pass nothing back; NaN passes.
                slopes[i] = np.float32(0) if outputs[i] <= 0 else slopes[i]
    gradient = room.gradient[: end - begin]
    for layer in range(last + 1):
        inputs = room.inputs if layer == 0 else hidden
        here = back[rows[layer] : rows[layer + 1]]
        entry_gradients(gradient, inputs_of, starts[rows[layer] :], inputs, here)
    biases = gradient[starts[rows[last + 1]] :]
    for row in range(back.shape[0]):
        slopes, total = back[row], np.float32(0)
        for i in range(slopes.size):
            total += slopes[i]
        biases[row] = total


@jit
def cross_entropy_slopes(
    logits: Array, labels: NDArray[np.int64], smoothing: np.float32, into: Array
) -> None:
    """(softmax - (1 - smoothing) one hot - smoothing / classes) / batch, [classes, columns].

    It goes to `into`, and the logits are overwritten. Columns behind the labels are 0.
    """
    classes, columns = logits.shape
    batch = labels.size
    most, spread = into[0], smoothing / np.float32(classes)
    most[:] = logits[0]
    for row in range(1, classes):
        values = logits[row]
        for i in range(columns):
            most[i] = values[i] if values[i] > most[i] else most[i]
    for row in range(classes):
        values = logits[row]
        for i in range(columns):
            values[i] = exp_less(values[i] - most[i], np.float32(0))
    most[:] = np.float32(0)
    for row in range(classes):
        values = logits[row]
        for i in range(columns):
            most[i] += values[i]
    for row in range(classes - 1, -1, -1):  # the first row holds the sums until then
        values, slopes = logits[row], into[row]
        for i in range(columns):
            slopes[i] = values[i] / most[i] - spread
    for i in range(batch):
        into[labels[i], i] -= np.float32(1) - smoothing
    for row in range(classes):
        slopes = into[row]
        for i in range(batch):
            slopes[i] /= np.float32(batch)
        slopes[batch:] = np.float32(0)


@jit
def update(
    nets: SparseMLPs, k: int, state: OptimizerState, room: StepBuffers, rate: Array, step: int
) -> None:
    """Take the step along the gradient, the `step`-th of the network, with `rate` [pack]."""
    begin, end = nets.begins[k], nets.begins[k + 1]
    values = nets.values[begin:end].reshape((1, end - begin))
    gradient = room.gradient[: end - begin].reshape((1, end - begin))
    first = state.first[begin:end].reshape((1, end - begin))
    outside = nets.outside[begin:end].reshape((1, end - begin))
    lines, momentum, now = state.lines[k : k + 1], state.momentum[k : k + 1], rate[k : k + 1]
    forgets = step % state.forget_every == 0
    trace = np.float32(state.trace)
    if not state.is_adam:
        momentum_loop(first, gradient, momentum)
        if forgets:
            forget_loop(first, trace)
        masked_sgd_loop(values, first, now, lines, outside)
        return
    second = state.second[begin:end].reshape((1, end - begin))
    if forgets:
        forget_loop(first, trace)
        forget_loop(second, trace)
    state.powers[0, k] *= np.float64(state.momentum[k])
    state.powers[1, k] *= state.beta2
    tiny = np.float64(np.finfo(np.float32).tiny)
    scale, root, left = np.empty(1, np.float32), np.empty(1, np.float32), np.empty(1, np.float32)
    scale[0] = np.float64(rate[k]) / max(1.0 - state.powers[0, k], tiny)
    root[0] = np.sqrt(max(1.0 - state.powers[1, k], tiny))
    left[0] = np.float32(1) - rate[k] * state.decoupled[k]
    adam_loop(
        values,
        gradient,
        first,
        second,
        now,
        left,
        momentum,
        scale,
        root,
        np.float32(state.beta2),
        np.float32(state.eps),
        lines,
    )
    cut_loop(values, outside)


@jit
def cross_entropy_steps(
    nets: SparseMLPs,
    state: OptimizerState,
    room: StepBuffers,
    examples: Array,
    labels: NDArray[np.int64],
    pixels: NDArray[np.int64],
    index: NDArray[np.int64],
    rates: Array,
    before: int,
    smoothing: np.float32,
) -> None:
    """Take steps of all networks along the cross-entropy of the examples [n, all pixels].

    `index` [steps, batch] are the examples of each step, `rates` [steps, pack] its learning rates;
    so many steps were taken `before`.
    """
    output = nets.layer_rows[nets.layer_rows.size - 2]
    wanted = np.empty(index.shape[1], np.int64)
    for step in range(index.shape[0]):
        gather_columns(examples, index[step], pixels, room.inputs)
        for i in range(wanted.size):
            wanted[i] = labels[index[step, i]]
        for k in range(rates.shape[1]):
            forward(nets, k, room)
            cross_entropy_slopes(room.hidden[output:], wanted, smoothing, room.back[output:])
            backward(nets, k, room)
            update(nets, k, state, room, rates[step], before + step + 1)

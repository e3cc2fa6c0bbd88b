"""Density curves: trained networks at many densities, pruned by magnitude without fine-tuning.

Each network is evaluated at each density; the examples are gone through once for several.
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from sweeper.config.judging_plan import point_cost
from sweeper.kernels.jit import Array
from sweeper.training import parameter_counts, sparse_inference
from sweeper.training.datasets import DataSplit
from sweeper.training.dead_biases import remove_dead_biases
from sweeper.training.evaluation import CHUNK, Evaluator, batches
from sweeper.training.measures import measured
from sweeper.training.sparse_inference import SparseMLP
from sweeper.training.stack import Layers, NetworkRange, Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.types import CurvePoint

NETWORKS_AT_ONCE = 4
"""Networks that see a chunk of examples together, at all of their sparse densities. These are
turned around for them (2 ms, a twentieth of what follows); more would only take more memory."""

Points = dict[float, list[CurvePoint]]
"""By density; one for each network."""


@torch.no_grad()
def density_curves(
    evaluator: Evaluator, stack: Stack, ranked: Tensor, densities: Sequence[float]
) -> list[tuple[CurvePoint, ...]]:
    """Return for every network its points at the densities, in their order.

    `ranked` comes from the network's rule. The way to a point depends on its density and the
    kind of network and device alone, so that its bits do not depend on the pack.
    """
    runs_sparse = sparse_inference.runs(evaluator.network.layers, stack)
    most = sparse_inference.max_density() if runs_sparse else 0.0
    low = [density for density in dict.fromkeys(densities) if density <= most]
    high = [density for density in dict.fromkeys(densities) if density > most]
    points = _dense(evaluator, stack, ranked, high) | _sparse(evaluator, stack, ranked, low)
    return [tuple(points[density][k] for density in densities) for k in range(len(ranked))]


def _of_all(density: float, ranked: Tensor) -> Tensor:
    return ranked.new_full((len(ranked),), density, dtype=torch.float64)


def _dense(
    evaluator: Evaluator, stack: Stack, ranked: Tensor, densities: Sequence[float]
) -> Points:
    """Evaluate whole packs, one density after the other."""
    if not densities:
        return {}
    points = {}
    rule = evaluator.network.rule
    dead: Stack = {}
    pruned = {name: value.clone() for name, value in stack.items()}
    prunable = {name: stack[name] for name in evaluator.network.weights}
    for density in densities:
        for name, mask in rule.masks(prunable, ranked, _of_all(density, ranked)).items():
            pruned[name].copy_(stack[name]).masked_fill_(mask.logical_not_(), 0)
        for name in dead:
            pruned[name].copy_(stack[name])
        dead = remove_dead_biases(evaluator.network, pruned)
        evaluator.recalibrate(pruned)
        cost = point_cost(density, is_mlp=evaluator.network.layers is not None)
        val, test = evaluator.accuracies(pruned, cost)
        counts = parameter_counts.nonzero(evaluator.network, pruned)
        points[density] = [
            evaluator.point(density, count, val[k], test[k]) for k, count in enumerate(counts)
        ]
    return points


def _sparse(
    evaluator: Evaluator, stack: Stack, ranked: Tensor, densities: Sequence[float]
) -> Points:
    """Evaluate some networks after the others, each at all densities at once."""
    layers = evaluator.network.layers
    points: Points = {density: [] for density in densities}
    if layers is None or not densities:
        return points
    pack = len(ranked)
    for start in range(0, pack, NETWORKS_AT_ONCE):
        some = NetworkRange(start, min(start + NETWORKS_AT_ONCE, pack))
        nets = {
            density: _cut(evaluator.network, layers, some.of(stack), some.cut(ranked), density)
            for density in densities
        }
        val, test = (
            _qualities(evaluator, nets, part, chosen, pack) for part, chosen in evaluator.parts()
        )
        for density, row in nets.items():
            points[density] += [
                evaluator.point(density, net.nonzero, val[net], test[net]) for net in row
            ]
    return points


def _cut(
    network: StackedArchitecture, layers: Layers, stack: Stack, ranked: Tensor, density: float
) -> list[SparseMLP]:
    """Return some networks at a density, through what is left of their weights alone."""
    rule, each = network.rule, _of_all(density, ranked)
    if rule.cuts_at_scores:
        bounds = {name: least.tolist() for name, least in rule.thresholds(ranked, each).items()}
    else:
        prunable = {name: stack[name] for name in network.weights}
        masks = rule.masks(prunable, ranked, each)
        left = {name: weight.masked_fill(~masks[name], 0) for name, weight in prunable.items()}
        stack, bounds = {**stack, **left}, {}
    # What is not pruned stays, whatever its magnitude.
    rows = [bounds.get(weight, [0.0] * len(ranked)) for weight, _ in layers]
    nets = [SparseMLP.cut(layers, stack, k, [row[k] for row in rows]) for k in range(len(ranked))]
    return [net.without_dead_biases() for net in nets] if network.prune.dead_biases else nets


def _qualities(
    evaluator: Evaluator,
    nets: dict[float, list[SparseMLP]],
    part: DataSplit,
    chosen: Tensor | None,
    pack: int,
) -> dict[SparseMLP, float]:
    """Return the measure of each network on the examples; these are some of a pack."""
    counts = evaluator.measure == "accuracy"
    right = dict.fromkeys(chain.from_iterable(nets.values()), 0)
    outputs: dict[SparseMLP, list[Array]] = {net: [] for net in right}
    labels_seen = []
    cost = sum(point_cost(density, is_mlp=True) * len(row) for density, row in nets.items()) / pack
    for some in batches(part, CHUNK, chosen):
        evaluator.advance(cost * len(some))
        examples = sparse_inference.pixels_first(some.examples)
        labels = some.labels.numpy()
        labels_seen.append(labels)
        for net in right:
            if counts:
                right[net] += net.right(examples, labels)
            else:
                outputs[net].append(net.outputs(examples))
    if not counts:
        true = np.concatenate(labels_seen)
        return {
            net: measured(evaluator.measure, np.concatenate(parts, axis=1).T, true)
            for net, parts in outputs.items()
        }
    count = len(part) if chosen is None else len(chosen)
    return {net: hits / count for net, hits in right.items()}

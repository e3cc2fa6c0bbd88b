"""Pruning at the start: the loss at the initial weights chooses those that are ever trained."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sweeper.training import pruning
from sweeper.training.loss_gradients import LossGradients
from sweeper.training.methods import Method, TrainingContext, TrainingStep
from sweeper.training.stack import NetworkRange, Stack


@dataclass(frozen=True, slots=True, eq=False)
class PruningAtStart(Method):
    """The weights of the largest scores are trained, density x all of them; the mask is held."""

    examples: int
    """Training examples that the scores are computed on."""

    def scores(self, weights: Stack, index: Tensor, loss: LossGradients) -> Stack:
        """Return the scores of the initial weights, [pack, out, in] by name."""
        raise NotImplementedError

    @torch.no_grad()
    def start(self, weights: Stack, biases: Stack, context: TrainingContext) -> Stack:
        """Return the masks."""
        if context.loss is None:
            raise ValueError("pruning at the start needs the loss")
        # The same examples for all networks of a repeat, and for all methods of this kind.
        index = context.loss.examples(self.examples, "pruning_at_start")
        scores = self.scores(weights, index, context.loss)
        masks = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        for k, density in enumerate(context.density.tolist()):
            network = NetworkRange(k, k + 1)
            for name, mask in pruning.largest(network.of(scores), density).items():
                network.cut(masks[name]).copy_(mask)
        _apply(weights, masks)
        return masks

    @torch.no_grad()
    def after(self, weights: Stack, state: Mapping[str, Tensor], step: TrainingStep) -> None:
        _apply(weights, state)


class Snip(PruningAtStart):
    """|w g|: how much the loss would change, to first order, without the weight."""

    __slots__ = ()

    def scores(self, weights: Stack, index: Tensor, loss: LossGradients) -> Stack:
        gradients = loss.at(index)
        return {name: (weight * gradients[name]).abs_() for name, weight in weights.items()}


class Grasp(PruningAtStart):
    """w (H g): how much less the squared gradient would be, to first order, without the weight.

    The paper removes those of the largest -w (H g), which is the same. Its authors' code divides
    logits by 200 and draws as many examples of each class; neither is done here.
    """

    __slots__ = ()

    def scores(self, weights: Stack, index: Tensor, loss: LossGradients) -> Stack:
        products = loss.hessian_product(index, loss.at(index))
        return {name: weight * products[name] for name, weight in weights.items()}


def _apply(weights: Stack, masks: Mapping[str, Tensor]) -> None:
    for name, weight in weights.items():
        weight.mul_(masks[name])

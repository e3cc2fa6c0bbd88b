"""Penalties in training: strength x the sum over weight matrices of R(W), in one of four modes.

loss: a term of the loss. decoupled: a step of rate x strength along the gradient, outside the
optimizer's moments. prox: the exact proximal operator with t = rate x strength. shrink: a step of
rate x strength x max(0, dR/d|w|) towards zero that stops there. Under Adam too the step is the
plain learning rate, for every arm alike.

Gradients are sign(w) dR/d|w| written out, 0 where a weight is 0; autograd took about three times
as long. On a CPU what takes several passes is done one matrix at a time, so that it stays in the
cache from pass to pass. What acts on each weight alone (L1, L2 and their sum) is handed to the
optimizer, whose pass over the weights it shares.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from sweeper.config import derive_seed
from sweeper.config.registry import FORMULAS, Formula, load
from sweeper.kernels import apply
from sweeper.kernels.fast_forms import FAST_FORMS, FastForm, fast_form
from sweeper.kernels.linear_slopes import LINES
from sweeper.kernels.optimizer_steps import LinearPenalties
from sweeper.kernels.slopes import Slope, spread
from sweeper.training.custom_formulas import completed, resolve, shrinkage_of
from sweeper.training.methods import HyperValues, TrainingContext, batched
from sweeper.training.stack import NetworkRange, Stack
from sweeper.types import ApplyMode, PenaltyConfig

_ORDER = {"loss": 0, "decoupled": 1, "shrink": 2, "prox": 3}
_PROX_ORDER = {"l1": 0, "group_lasso": 1, "l2": 2}
"""The exact operator of a sum: soft threshold, then groups, then the scaling of l2."""
AT_ONCE = 300_000
"""Weights of a stack that are treated together on a CPU: what its second cache holds."""


@dataclass(frozen=True, slots=True, eq=False)
class PenaltyTerm:
    """One penalty of an arm on some networks of a pack."""

    config: PenaltyConfig
    """Of any of the networks; strength and hyperparameters are theirs."""
    formula: Formula
    strength: Tensor
    """[pack]"""
    hyper: HyperValues

    def part(self, networks: NetworkRange) -> "PenaltyTerm":
        """Return the term for some of its networks."""
        hyper = {
            name: networks.cut(value) if isinstance(value, Tensor) else value
            for name, value in self.hyper.items()
        }
        return replace(self, strength=networks.cut(self.strength), hyper=hyper)

    def scaled(self, share: float) -> "PenaltyTerm":
        """Return the term with a share of its strength."""
        return self if share == 1.0 else replace(self, strength=self.strength * share)

    def slope(self, weight: Tensor) -> Slope:
        """Return dR/d|w|, or strength x it where the strength is a letter of R."""
        inner = {"strength": self.strength} if self.formula.strength_inside else {}
        return slope_of(self.config.penalty, self.formula, weight, {**self.hyper, **inner})

    def factor(self) -> Tensor:
        """Return what the slope is multiplied by, [pack]."""
        return torch.ones_like(self.strength) if self.formula.strength_inside else self.strength

    def value(self, weight: Tensor) -> Tensor:
        """Return strength x R(W), [pack]."""
        inner = {"strength": self.strength} if self.formula.strength_inside else {}
        value: Tensor = load(self.formula.value)(weight, **self.hyper, **inner)
        return self.factor() * value

    def prox_(self, weight: Tensor, rate: Tensor) -> None:
        """Apply the proximal operator with t = rate x strength in place."""
        letters = {"step": rate, "strength": self.strength, **self.hyper}
        fast = fast_form(self.config.penalty, weight).prox_
        if fast:
            fast(weight, **letters)
        else:
            weight.copy_(load(self.formula.prox or "")(weight, **letters))

    @property
    def in_one_pass(self) -> bool:
        """Whether all that it does to a stack takes a pass or two: no need to cut it up."""
        fast = FAST_FORMS.get(self.config.penalty, FastForm())
        form = fast.prox_ if self.config.apply == "prox" else fast.slope
        return form is not None and fast.one_pass and not self.config.shuffled


@dataclass(frozen=True, slots=True, eq=False)
class Permutation:
    """A fixed random order of the entries of one weight matrix, and the way back."""

    there: Tensor
    back: Tensor

    @classmethod
    def draw(cls, weight: Tensor, seed: int) -> "Permutation":
        generator = torch.Generator().manual_seed(seed)
        there = torch.randperm(weight[0].numel(), generator=generator).to(weight.device)
        return cls(there, there.argsort())

    def shuffle(self, weight: Tensor) -> Tensor:
        return weight.flatten(1).index_select(1, self.there).view_as(weight)

    def restore(self, shuffled: Tensor, like: Tensor) -> Tensor:
        spread = shuffled.expand_as(like).flatten(1)
        return spread.index_select(1, self.back).view_as(like)


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Some networks of one weight matrix, with the terms that are theirs."""

    name: str
    networks: NetworkRange
    terms: tuple[PenaltyTerm, ...]
    order: Permutation | None


@dataclass(slots=True, eq=False)
class PenaltyState:
    """Penalties in training: the blocks that they act on, and the steps that are done."""

    blocks: list[_Block]
    steps: int
    done: int = 0

    def acting(self, modes: Collection[str]) -> Iterator[tuple[_Block, PenaltyTerm]]:
        """Yield the terms that act at this step in one of the modes, as strong as they are now."""
        for block in self.blocks:
            for term in block.terms:
                if term.config.apply not in modes:
                    continue
                share = schedule_factor(term.config, self.done, self.steps)
                if share:
                    yield block, term.scaled(share)


@dataclass(frozen=True, slots=True, eq=False)
class Penalties:
    """The penalties of an arm, all of them while a matrix is at hand."""

    terms: tuple[PenaltyTerm, ...] = ()
    """What the optimizer does not apply."""
    linear: LinearPenalties | None = None
    """What it does apply, on a CPU."""

    @property
    def capturable(self) -> bool:
        """Whether a step is the same program of one device each time."""
        # What a formula from outside does is not known.
        configs = [term.config for term in self.terms]
        return all(config.penalty in FORMULAS and config.step_invariant for config in configs)

    def start(self, weights: Stack, context: TrainingContext) -> PenaltyState:
        """Return the state of a training; `weights` [pack, out, in] by name."""
        blocks = []
        shuffled = any(term.config.shuffled for term in self.terms)
        for index, (name, weight) in enumerate(weights.items()):
            order = (
                Permutation.draw(weight, derive_seed(context.order_seed, "shuffle", index))
                if shuffled
                else None
            )
            pack = weight.shape[0]
            size = pack
            if weight.device.type == "cpu" and not all(term.in_one_pass for term in self.terms):
                size = max(1, AT_ONCE // weight[0].numel())
            for begin in range(0, pack, size):
                networks = NetworkRange(begin, min(begin + size, pack))
                terms = tuple(term.part(networks) for term in self.terms)
                blocks.append(_Block(name, networks, terms, order))
        return PenaltyState(blocks, context.steps)

    @torch.no_grad()
    def add_gradients(self, weights: Stack, gradients: Stack, state: PenaltyState) -> None:
        """Add the gradients of the terms of the loss to those at hand."""
        for block, term in state.acting(("loss",)):
            weight = block.networks.cut(weights[block.name])
            gradient = block.networks.cut(gradients[block.name])
            apply.add_(gradient, weight, term_slope(term, weight, block.order), term.factor())

    @torch.no_grad()
    def after(self, weights: Stack, state: PenaltyState, rate: Tensor) -> None:
        """Apply the others to the weights after the optimizer's step, in place; rate [pack]."""
        for block, term in state.acting(("decoupled", "shrink", "prox")):
            weight = block.networks.cut(weights[block.name])
            apply_term(term, weight, block.networks.cut(rate), block.order)
        state.done += 1


def penalties(configs: Sequence[Sequence[PenaltyConfig]], device: torch.device) -> Penalties:
    """Return the penalties of some networks: configs[k] are the terms of network k.

    They differ in strengths and hyperparameters that are floats at most.
    """
    terms = penalty_terms(configs, device)
    linear, rest = LinearPenalties.none(len(configs)), []
    for term in terms:
        if _is_handed_over(term, terms):
            constant, factor = LINES[term.config.penalty](**term.hyper)
            mode = cast(ApplyMode, term.config.apply)
            parts = (term.strength * part for part in (constant, factor))
            linear = linear.plus(mode, *(part.cpu() for part in parts))
        else:
            rest.append(term)
    return Penalties(tuple(rest), linear)


def penalty_terms(
    configs: Sequence[Sequence[PenaltyConfig]],
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> list[PenaltyTerm]:
    """Return the terms of some networks in the order in which they act; as for `penalties`."""
    terms = []
    for index, first in enumerate(configs[0]):
        column = [network[index] for network in configs]
        formula, strengths = resolve(first.penalty), [config.strength for config in column]
        hypers = [completed(formula, config.hyper) for config in column]
        terms.append(
            PenaltyTerm(
                config=first,
                formula=formula,
                strength=torch.tensor(strengths, device=device, dtype=dtype),
                hyper=batched(hypers, device, dtype),
            )
        )
    terms.sort(
        key=lambda term: (_ORDER[term.config.apply], _PROX_ORDER.get(term.config.penalty, 0))
    )
    return terms


def schedule_factor(config: PenaltyConfig, step: int, steps: int) -> float:
    """Return the share of a term's strength at a step in 0 ... steps - 1; 0 while it rests.

    One that acts in the same way at every step does so however many there are.
    """
    if config.step_invariant:
        return 1.0
    begin, end = (part * steps for part in config.during)
    if not begin <= step < end:
        return 0.0
    rising = config.ramp * (end - begin)
    return min(1.0, (step + 1 - begin) / rising) if rising else 1.0


def slope_of(penalty: str, formula: Formula, weight: Tensor, letters: Mapping[str, Any]) -> Slope:
    """Return dR/d|w| by the fast form where there is one, else by the formula's shrinkage."""
    fast = fast_form(penalty, weight).slope
    return fast(weight, **letters) if fast else shrinkage_of(formula, weight, letters)


def term_slope(term: PenaltyTerm, weight: Tensor, order: Permutation | None) -> Slope:
    """Return the slope of a term, of its shuffled weights where it wants them so."""
    if not term.config.shuffled or order is None:
        return term.slope(weight)
    moved = order.shuffle(weight)
    return order.restore(spread(term.slope(moved), moved), weight)


def apply_term(term: PenaltyTerm, weight: Tensor, rate: Tensor, order: Permutation | None) -> None:
    """Apply one term that acts after the optimizer's step, in place."""
    if term.config.apply == "decoupled":
        apply.descend_(weight, term_slope(term, weight, order), rate * term.factor())
    elif term.config.apply == "shrink":
        apply.shrink_(weight, term_slope(term, weight, order), rate * term.factor())
    elif term.config.apply == "prox":
        if term.config.shuffled and order is not None:
            moved = order.shuffle(weight)
            term.prox_(moved, rate)
            weight.copy_(order.restore(moved, weight))
        else:
            term.prox_(weight, rate)


def _is_handed_over(term: PenaltyTerm, terms: Sequence[PenaltyTerm]) -> bool:
    """Return whether the optimizer applies a term: what acts after its step must keep its order."""
    if not _is_linear(term):
        return False
    if term.config.apply == "loss":
        return True
    return all(_is_linear(other) or other.config.apply == "loss" for other in terms)


def _is_linear(term: PenaltyTerm) -> bool:
    """Return whether an optimizer could apply a term at all: in the same way at every step."""
    return term.config.penalty in LINES and term.config.step_invariant

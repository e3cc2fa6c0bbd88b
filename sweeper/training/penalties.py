"""strength x the sum over weight matrices of R(W), applied in one of four ways.

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
from typing import Any

import torch
from torch import Tensor

from sweeper.config import derive_seed
from sweeper.config.registry import APPLY_MODES, FORMULAS, Formula, load
from sweeper.kernels import apply
from sweeper.kernels.fast_forms import FAST_FORMS, FastForm, fast_form
from sweeper.kernels.linear_slopes import LINES
from sweeper.kernels.slopes import Slope, spread
from sweeper.regularizers.custom import completed, resolve, shrinkage_of
from sweeper.training.methods import HyperValues, Method, TrainingContext, batched
from sweeper.training.stack import Stack
from sweeper.types import PenaltyConfig

_ORDER = {"loss": 0, "decoupled": 1, "shrink": 2, "prox": 3}
_PROX_ORDER = {"l1": 0, "group_lasso": 1, "l2": 2}
"""The exact operator of a sum: soft threshold, then groups, then the scaling of l2."""
AT_ONCE = 300_000
"""Weights of a stack that are treated together on a CPU: what its second cache holds."""


@dataclass(frozen=True, slots=True, eq=False)
class PenaltyTerm:
    """One formula on a slice of a pack."""

    term: PenaltyConfig
    """Of any of the networks; strength and hyperparameters are theirs."""
    formula: Formula
    strength: Tensor
    """[pack]"""
    hyper: HyperValues

    def part(self, where: slice) -> "PenaltyTerm":
        """Return the term for some networks of the slice."""
        hyper = {k: v[where] if isinstance(v, Tensor) else v for k, v in self.hyper.items()}
        return PenaltyTerm(self.term, self.formula, self.strength[where], hyper)

    @property
    def penalty(self) -> str:
        return self.term.penalty

    @property
    def way(self) -> str:
        return self.term.apply

    @property
    def shuffled(self) -> bool:
        return self.term.shuffled

    def scaled(self, share: float) -> "PenaltyTerm":
        """Return the term with a share of its strength."""
        return self if share == 1.0 else replace(self, strength=self.strength * share)

    def slope(self, weight: Tensor) -> Slope:
        """Return dR/d|w|, or strength x it where the strength is a letter of R."""
        return slope_of(self.penalty, self.formula, weight, self._letters)

    def factor(self) -> Tensor:
        """Return what the slope is multiplied by, [pack]."""
        return torch.ones_like(self.strength) if self.formula.strength_inside else self.strength

    def prox_(self, weight: Tensor, rate: Tensor) -> None:
        """Apply the proximal operator with t = rate x strength in place."""
        letters = {"step": rate, "strength": self.strength, **self.hyper}
        fast = fast_form(self.penalty, weight).prox_
        if fast:
            fast(weight, **letters)
        else:
            weight.copy_(load(self.formula.prox or "")(weight, **letters))

    @property
    def in_one_pass(self) -> bool:
        """Whether all that it does to a stack takes a pass or two: no need to cut it up."""
        fast = FAST_FORMS.get(self.penalty, FastForm())
        form = fast.prox_ if self.way == "prox" else fast.slope
        return form is not None and fast.one_pass and not self.shuffled

    @property
    def _letters(self) -> HyperValues:
        inner = {"strength": self.strength} if self.formula.strength_inside else {}
        return {**self.hyper, **inner}


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
class _Piece:
    """Some networks of one weight matrix, with the terms that are theirs."""

    name: str
    where: slice
    terms: tuple[PenaltyTerm, ...]
    order: Permutation | None


@dataclass(slots=True, eq=False)
class _Work:
    """The penalties of a slice in training."""

    pieces: list[_Piece]
    steps: int
    done: int = 0

    def now(self, ways: Collection[str]) -> Iterator[tuple[_Piece, PenaltyTerm]]:
        """Yield the terms that act at this step in one of the ways, as strong as they are now."""
        for piece in self.pieces:
            for term in piece.terms:
                share = (
                    schedule_factor(term.term, self.done, self.steps) if term.way in ways else 0.0
                )
                if share:
                    yield piece, term.scaled(share)


@dataclass(frozen=True, slots=True, eq=False)
class Penalties(Method):
    """The penalties of an arm, all of them while a matrix is at hand."""

    terms: tuple[PenaltyTerm, ...]
    """What the optimizer does not do."""
    alone: Tensor
    """`lines`"""

    @property
    def capturable(self) -> bool:
        # What a formula from outside does is not known.
        return all(term.penalty in FORMULAS and term.term.step_invariant for term in self.terms)

    def lines(self) -> Tensor:
        return self.alone

    def start(self, weights: Stack, biases: Stack, setting: TrainingContext) -> Any:
        pieces = []
        shuffled = any(term.shuffled for term in self.terms)
        for index, (name, weight) in enumerate(weights.items()):
            order = (
                Permutation.draw(weight, derive_seed(setting.order_seed, "shuffle", index))
                if shuffled
                else None
            )
            pack = weight.shape[0]
            size = pack
            if weight.device.type == "cpu" and not all(term.in_one_pass for term in self.terms):
                size = max(1, AT_ONCE // weight[0].numel())
            for begin in range(0, pack, size):
                where = slice(begin, min(begin + size, pack))
                terms = tuple(term.part(where) for term in self.terms)
                pieces.append(_Piece(name, where, terms, order))
        return _Work(pieces, setting.steps)

    @torch.no_grad()
    def vjp(self, weights: Stack, gradients: Stack, state: _Work) -> None:
        for piece, term in state.now(("loss",)):
            weight, gradient = weights[piece.name][piece.where], gradients[piece.name][piece.where]
            apply.add_(gradient, weight, _slope(term, weight, piece.order), term.factor())

    @torch.no_grad()
    def after(self, weights: Stack, state: _Work, rate: Tensor, step: int) -> None:
        for piece, term in state.now(("decoupled", "shrink", "prox")):
            _act(term, weights[piece.name][piece.where], rate[piece.where], piece.order)
        # Counted here: `step` is 0 throughout where nothing but penalties acts.
        state.done += 1


def slope_of(penalty: str, formula: Formula, weight: Tensor, letters: Mapping[str, Any]) -> Slope:
    """Return dR/d|w| by the fast form where there is one, else by the formula's shrinkage."""
    fast = fast_form(penalty, weight).slope
    return fast(weight, **letters) if fast else shrinkage_of(formula, weight, letters)


def schedule_factor(term: PenaltyConfig, step: int, steps: int) -> float:
    """Return the share of a term's strength at a step in 0 ... steps - 1; 0 while it rests."""
    begin, end = (part * steps for part in term.during)
    if not begin <= step < end:
        return 0.0
    rising = term.ramp * (end - begin)
    return min(1.0, (step + 1 - begin) / rising) if rising else 1.0


def _slope(term: PenaltyTerm, weight: Tensor, order: Permutation | None) -> Slope:
    if not term.shuffled or order is None:
        return term.slope(weight)
    moved = order.shuffle(weight)
    return order.restore(spread(term.slope(moved), moved), weight)


def _act(term: PenaltyTerm, weight: Tensor, rate: Tensor, order: Permutation | None) -> None:
    """Apply one term that acts after the optimizer's step, in place."""
    if term.way == "decoupled":
        apply.descend_(weight, _slope(term, weight, order), rate * term.factor())
    elif term.way == "shrink":
        apply.shrink_(weight, _slope(term, weight, order), rate * term.factor())
    elif term.way == "prox":
        if term.shuffled and order is not None:
            moved = order.shuffle(weight)
            term.prox_(moved, rate)
            weight.copy_(order.restore(moved, weight))
        else:
            term.prox_(weight, rate)


def penalties(many: Sequence[Sequence[PenaltyConfig]], device: torch.device) -> Penalties:
    """Return the penalties of a slice: many[k] are the terms of network k."""
    found = []
    for index, first in enumerate(many[0]):
        same = [terms[index] for terms in many]
        formula = resolve(first.penalty)
        found.append(
            PenaltyTerm(
                term=first,
                formula=formula,
                strength=torch.tensor([term.strength for term in same], device=device),
                hyper=batched([completed(formula, term.hyper) for term in same], device),
            )
        )
    place = [(_ORDER[term.way], _PROX_ORDER.get(term.penalty, 0)) for term in found]
    order = sorted(range(len(found)), key=place.__getitem__)
    ordered = [found[index] for index in order]
    lines = torch.zeros(len(many), 2 * len(APPLY_MODES))
    left = [term for term in ordered if not _handed_over(term, ordered)]
    for term in ordered:
        if term not in left:
            column = 2 * APPLY_MODES.index(term.way)
            for part, value in enumerate(LINES[term.penalty](**term.hyper)):
                lines[:, column + part] += (term.strength * value).cpu()
    return Penalties(tuple(left), lines)


def _handed_over(term: PenaltyTerm, all_terms: Sequence[PenaltyTerm]) -> bool:
    """Tell whether the optimizer applies a term: what acts after its step must keep its order."""
    if not _on_lines(term):
        return False
    return term.way == "loss" or all(_on_lines(other) or other.way == "loss" for other in all_terms)


def _on_lines(term: PenaltyTerm) -> bool:
    """Tell whether an optimizer could apply a term at all: in the same way at every step."""
    return term.penalty in LINES and term.term.step_invariant

"""Penalty of a module: one loop fits all formulas and all ways in which they are applied."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self, TypeGuard

import torch
from torch import Tensor, nn

from sweeper.config import derive_seed
from sweeper.errors import InputError, shown
from sweeper.modules.module_weights import (
    as_matrix,
    trainable,
    unwrapped,
    weights_of,
    write_back,
)
from sweeper.modules.penalty_keys import terms_of
from sweeper.modules.penalty_loss import PlacedTerms, penalty_loss
from sweeper.training.penalties import (
    PenaltyTerm,
    Permutation,
    apply_term,
    penalty_terms,
    schedule_factor,
)
from sweeper.types import PenaltyConfig, Scalar

_PLACE = "Penalty"
_BEHIND = ("decoupled", "shrink", "prox")
"""The ways that act behind the optimizer's step."""


class HasParameterGroups(Protocol):
    """An optimizer of PyTorch, or what stands for it in a framework."""

    @property
    def param_groups(self) -> list[dict[str, Any]]: ...


class Penalty:
    """A penalty of a module's weights, strength x the sum of R(W), for any training loop.

    ```python
    penalty = Penalty(model, "marginal_entropy", strength=1e-3)
    for examples, labels in batches:
        optimizer.zero_grad()
        loss = cross_entropy(model(examples), labels) + penalty.loss()
        loss.backward()
        optimizer.step()
        penalty.step(optimizer)
    ```

    `loss()` is 0 unless the way is `loss`, `step` only counts if it is: the loop is the same for
    all. Keys are those of a study file, and so are the lines of InputError for wrong ones.
    Weights are all parameters of two or more dimensions, a kernel [out, in, ...] as a matrix
    [out, in x ...]; tied ones are one, frozen ones are left alone.

    >>> from torch import nn
    >>> model = nn.Linear(2, 1, bias=False)
    >>> _ = nn.init.constant_(model.weight, 0.25)
    >>> penalty = Penalty(model, "l1", strength=1.0, apply="prox")
    >>> penalty.loss()
    tensor(0.)
    >>> penalty.step(0.125)
    >>> model.weight.tolist()
    [[0.125, 0.125]]
    >>> Penalty(model, "l1", strength=3.0, apply="loss").loss().item()
    0.75
    """

    def __init__(
        self,
        model: nn.Module,
        penalty: str = "none",
        *,
        strength: float | None = None,
        apply: str | None = None,
        shuffle: bool = False,
        during: tuple[float, float] | None = None,
        ramp: float = 0.0,
        sum: Mapping[str, Mapping[str, Any]] | None = None,  # noqa: A002  # the file's key
        steps: int | None = None,
        names: str | Sequence[str] = (),
        seed: int = 0,
        **hyper: Scalar,
    ) -> None:
        """Name a penalty and its keys, or several as `sum={name: {key: value}}`.

        `steps` are those of the optimizer in the whole training, which `during` and `ramp` are
        shares of; `names` patterns of the weights it acts on, as `sparsification.prune` has them
        (`"conv*"`, `"!head*"`); `seed` that of the order with `shuffle`.
        """
        given = {
            "penalty": penalty,
            "strength": strength,
            "apply": apply,
            "shuffle": shuffle,
            "during": during,
            "ramp": ramp,
            "sum": sum,
        }
        self._bind(model, terms_of(_PLACE, {**given, **hyper}), steps, names, seed)

    @classmethod
    def of(
        cls,
        model: nn.Module,
        terms: Sequence[PenaltyConfig],
        *,
        steps: int | None = None,
        names: str | Sequence[str] = (),
        seed: int = 0,
    ) -> Self:
        """Return the penalty of checked terms, such as those of an arm; of none, it does nothing.

        >>> model = nn.Linear(2, 1)
        >>> Penalty.of(model, (PenaltyConfig("l1", "prox", 0.5),))
        Penalty(l1 0.5 prox; step 0)
        """
        penalty = cls.__new__(cls)
        penalty._bind(model, tuple(terms), steps, names, seed)
        return penalty

    def _bind(
        self,
        model: nn.Module,
        terms: tuple[PenaltyConfig, ...],
        steps: int | None,
        names: str | Sequence[str],
        seed: int,
    ) -> None:
        self.terms = terms = tuple(term for term in terms if term.penalty != "none")
        self._module = unwrapped(_PLACE, model)
        self._names = weights_of(_PLACE, self._module, names) if terms or names else {}
        self._steps, self._seed = _checked_steps(terms, steps), seed
        self._step, self._asked = 0, False
        self._placed: dict[tuple[torch.device, torch.dtype], list[PenaltyTerm]] = {}
        self._orders: dict[tuple[str, torch.device], Permutation] = {}

    def loss(self) -> Tensor:
        """Return what is added to the loss at this step, 0 for other ways than `loss`.

        A number that can be differentiated once; in float32 at least, whatever autocast is on.
        """
        self._asked = True
        parts: list[PlacedTerms] = []
        weights = []
        if self._acts(("loss",)):
            for name, weight in trainable(self._module, self._names):
                parts.append(self._terms(name, weight, ("loss",)))
                weights.append(weight)
        if weights:
            return penalty_loss(parts, weights)
        first = next(self._module.parameters(), None)
        return torch.zeros((), device=None if first is None else first.device)

    @torch.no_grad()
    def step(self, learning_rate: float | Tensor | HasParameterGroups) -> None:
        """Act on the weights after the optimizer's step; to be called once for each of them.

        `learning_rate` is that of the step, or the optimizer, whose groups have theirs: before a
        scheduler changes them.
        """
        rates = _Rates(learning_rate)
        self._refuse_unasked_loss()
        if self._acts(_BEHIND):
            for name, weight in trainable(self._module, self._names):
                matrix = as_matrix(weight)
                rate = rates.of(name, weight)
                placed = _placed(rate, matrix)
                with torch.autocast(weight.device.type, enabled=False):
                    for term, order in self._terms(name, weight, _BEHIND):
                        _refuse_inexact(term, rate)
                        apply_term(term, matrix, placed, order)
                write_back(weight, matrix)
        self._step, self._asked = self._step + 1, False

    def state_dict(self) -> dict[str, int]:
        """Return what a checkpoint must hold for the training to go on as it would have."""
        return {"step": self._step}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from a checkpoint. Raises InputError for what is none."""
        given: Any = state
        step = given.get("step") if isinstance(given, Mapping) else None
        if type(step) is not int or step < 0:
            text = "must be what state_dict() gave, with a step of 0 or more"
            raise InputError(f"{_PLACE}: load_state_dict: {text}, got {shown(state)}")
        self._step, self._asked = step, False

    def __repr__(self) -> str:
        terms = [f"{term.penalty} {term.strength:g} {term.apply}" for term in self.terms]
        return f"Penalty({' + '.join(terms) or 'none'}; step {self._step})"

    def _share(self, term: PenaltyConfig) -> float:
        return schedule_factor(term, self._step, self._steps)

    def _acts(self, modes: Sequence[str]) -> bool:
        return any(term.apply in modes and self._share(term) for term in self.terms)

    def _terms(self, name: str, weight: Tensor, modes: Sequence[str]) -> PlacedTerms:
        """Return the terms that act on a weight now, as strong as they are now."""
        dtype = torch.float64 if weight.dtype == torch.float64 else torch.float32
        key = weight.device, dtype
        if key not in self._placed:
            self._placed[key] = penalty_terms([self.terms], *key)
        shares = ((term, self._share(term.config)) for term in self._placed[key])
        return [
            (term.scaled(share), self._order(name, weight) if term.config.shuffled else None)
            for term, share in shares
            if share and term.config.apply in modes
        ]

    def _order(self, name: str, weight: Tensor) -> Permutation:
        key = name, weight.device
        if key not in self._orders:
            seed = derive_seed(self._seed, "shuffle", [*self._names].index(name))
            self._orders[key] = Permutation.draw(as_matrix(weight), seed)
        return self._orders[key]

    def _refuse_unasked_loss(self) -> None:
        """Refuse a step whose loss lacked the penalty: else an arm would be dense in silence."""
        if self._asked:
            return
        for term in self.terms:
            if term.apply == "loss" and term.strength and self._share(term):
                text = f"{term.penalty} acts as loss, and loss() was not called before this step"
                raise InputError(f"{_PLACE}: {text}; allowed: criterion(...) + penalty.loss()")


class _Rates:
    """The learning rates of one step."""

    def __init__(self, given: float | Tensor | HasParameterGroups) -> None:
        """Take a number, or an optimizer. Raises InputError for anything else."""
        self._of_all: float | Tensor = 0.0
        self._by_weight: dict[int, float | Tensor] | None = None
        groups = getattr(given, "param_groups", None)
        if groups is not None:
            self._by_weight = {
                id(weight): group["lr"] for group in groups for weight in group["params"]
            }
        elif isinstance(given, Tensor) and given.numel() == 1:
            self._of_all = given
        elif _is_rate(given):
            self._of_all = float(given)
        else:
            text = f"must be a number >= 0 or an optimizer, got {shown(given)}"
            raise InputError(f"{_PLACE}: step: learning_rate: {text}")

    def of(self, name: str, weight: Tensor) -> float | Tensor:
        """Return the learning rate of a weight."""
        if self._by_weight is None:
            return self._of_all
        if id(weight) not in self._by_weight:
            text = f"the optimizer does not train {name}; allowed: names that leave it out"
            raise InputError(f"{_PLACE}: step: learning_rate: {text}")
        return self._by_weight[id(weight)]


def _is_rate(given: object) -> TypeGuard[float]:
    if isinstance(given, bool) or not isinstance(given, int | float):
        return False
    return 0 <= given < math.inf


def _placed(rate: float | Tensor, matrix: Tensor) -> Tensor:
    """Return a learning rate as [1], of the type and at the place of the weights."""
    if isinstance(rate, Tensor):
        return rate.detach().to(matrix).reshape(1)
    return matrix.new_full((1,), rate)


def _refuse_inexact(term: PenaltyTerm, rate: float | Tensor) -> None:
    """Refuse a learning rate at which a proximal operator is not one, as `check` does."""
    if term.config.apply != "prox" or isinstance(rate, Tensor):  # a GPU's is not waited for
        return
    for key, value in term.config.hyper:
        entry = term.formula.hyper.get(key)
        if entry is None or entry.min_above_learning_rate is None:
            continue
        least = rate + entry.min_above_learning_rate
        if float(value) <= least:
            text = f"must be > {least:g} as prox (the learning rate is {rate:g})"
            raise InputError(f"{_PLACE}: {key}: {text}, got {float(value):g}")


def _checked_steps(terms: Sequence[PenaltyConfig], steps: int | None) -> int:
    """Return the steps of the training, 0 where no schedule needs them. Raises InputError."""
    if steps is not None and (type(steps) is not int or steps < 1):
        raise InputError(f"{_PLACE}: steps: must be a whole number >= 1, got {shown(steps)}")
    for term in terms:
        if term.step_invariant:
            continue
        if steps is None:
            text = "required with during or ramp: the optimizer's steps in the whole training"
            raise InputError(f"{_PLACE}: steps: {text}")
        begin, end = (math.ceil(share * steps) for share in term.during)
        if begin >= end:
            text = f"holds none of the {steps:,} training steps, got {list(term.during)}"
            raise InputError(f"{_PLACE}: during: {text}")
    return steps or 0

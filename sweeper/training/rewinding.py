"""Rewinding: pruning in rounds, after each of which the weights that are left are trained again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch import Tensor

from sweeper.training.methods import TrainingContext, TrainingStep
from sweeper.training.pruning_schedules import Cut, Pruner, PruningState
from sweeper.training.stack import Stack


@dataclass(frozen=True, slots=True)
class Rounds:
    """The steps of a training that is divided into a first round and `len(cuts)` shorter ones."""

    length: float
    """Steps of the first round, which goes through the whole schedule of the learning rate."""
    rewound_to: int
    """Step of the first round at which every later one begins."""
    cuts: tuple[int, ...]
    """Steps after which a round ends with a cut, but for the last round."""

    @classmethod
    def of(cls, steps: int, to: float, rounds: int) -> "Rounds":
        """Divide the steps: a first round, and `rounds` that leave out the share `to` of it.

        >>> Rounds.of(100, 0.0, 4)
        Rounds(length=20.0, rewound_to=0, cuts=(20, 40, 60, 80))
        >>> Rounds.of(100, 0.5, 2)
        Rounds(length=50.0, rewound_to=25, cuts=(50, 75))
        """
        length = steps / (1 + rounds * (1 - to))
        # 0.7 in float32 is a little less than 0.7.
        cuts = (int(length + n * (1 - to) * length + 1e-4) for n in range(rounds))
        return cls(length, int(to * length + 1e-4), tuple(cuts))

    def schedule_step(self, number: int, steps: int) -> int:
        """Return the step of a schedule of `steps` steps whose learning rate a step has."""
        begun = max((cut for cut in self.cuts if cut <= number), default=None)
        place = number if begun is None else self.rewound_to + number - begun
        return min(int(place * steps / self.length + 1e-4), steps - 1)


@dataclass(slots=True, eq=False, kw_only=True)
class RewindingState(PruningState):
    """Some networks in training, with what they are rewound to."""

    rounds: list[Rounds]
    """Of each network."""
    live: list[Tensor]
    """What is rewound, [pack, ...] each: parameters, the optimizer's moments and counts."""
    saved: list[list[Tensor]]
    """Of each network, in the same order; empty before it is saved."""


@dataclass(frozen=True, slots=True, eq=False)
class Rewinding(Pruner):
    """Cuts by magnitude, as those of `IterativeMagnitude`, and a way back after each."""

    to: Tensor
    rounds: int
    rewind: str
    _shares: tuple[float, ...] = field(init=False)
    """`to` on the host: the schedule asks for it at every step."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_shares", tuple(self.to.tolist()))

    def schedule_step(self, number: int, steps: int) -> Sequence[int]:
        return [rounds.schedule_step(number, steps) for rounds in self._rounds(steps)]

    def schedule(self, network: int, density: float, steps: int) -> list[Cut]:
        cuts = self._rounds(steps)[network].cuts
        return [Cut(cut, density ** ((n + 1) / self.rounds)) for n, cut in enumerate(cuts)]

    # Not `super()`: with slots the class is another one than the one whose method this is.
    def start(self, weights: Stack, biases: Stack, context: TrainingContext) -> RewindingState:
        live: list[Tensor] = []
        if self.rewind == "weights":
            stacks = (weights, biases, *context.moments)
            live = [*chain.from_iterable(stack.values() for stack in stacks), *context.counts]
        rounds = self._rounds(context.steps)
        pruning = Pruner.start(self, weights, biases, context)
        state = RewindingState(
            cuts=pruning.cuts,
            context=context,
            masks=pruning.masks,
            rounds=rounds,
            live=live,
            saved=[[] for _ in rounds],
        )
        self._save(state, 0)
        return state

    @torch.no_grad()
    def after(self, weights: Stack, state: RewindingState, step: TrainingStep) -> None:  # type: ignore[override]
        done = step.number + 1
        self._save(state, done)
        Pruner.after(self, weights, state, step)
        for k, rounds in enumerate(state.rounds):
            if done not in rounds.cuts or state.masks is None:
                continue
            for live, saved in zip(state.live, state.saved[k], strict=True):
                live[k].copy_(saved)
            for name, weight in weights.items():
                weight[k].mul_(state.masks[name][k])

    def _rounds(self, steps: int) -> list[Rounds]:
        return [Rounds.of(steps, to, self.rounds) for to in self._shares]

    def _save(self, state: RewindingState, done: int) -> None:
        for k, rounds in enumerate(state.rounds):
            if done == rounds.rewound_to:
                state.saved[k] = [live[k].clone() for live in state.live]

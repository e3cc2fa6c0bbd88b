"""Learning curves of a pack: measure and loss of each network after epochs, while it is trained.

Judged on a fixed share of the validation examples, see `JudgingPlan.learning`, and with the running
statistics that batch norm has by then: to take them anew would cost as many passes again. Looks
change no bit of a result: they draw nothing at random, and have a runner and buffers of their own,
since captured steps of a GPU hold those of training.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sweeper.config.judging_plan import LearningPlan
from sweeper.config.measure import target_key
from sweeper.config.registry import LOSSES
from sweeper.training.evaluation import batches, chunk, right, sample
from sweeper.training.loaded_data import DataSplit
from sweeper.training.measures import measured
from sweeper.training.sparse_inference import StackLogits
from sweeper.training.stack import Stack
from sweeper.training.stacked_architecture import Runner, StackedArchitecture
from sweeper.training.work_meter import Advance
from sweeper.types import LearningPoint

LOSS = "val_loss"
"""Name of the mean of what training minimises, on the examples of a look."""
_AT_ONCE = 64
"""Networks whose losses a GPU computes at a time."""

Watch = Callable[[int, Callable[[], Stack]], None]
"""Told of each epoch of a phase that is done, and of how to get the networks as they are then."""


@dataclass(slots=True, eq=False)
class LearningCurves:
    """Learning curves of a pack in the making."""

    network: StackedArchitecture
    part: DataSplit
    """The examples of all looks."""
    plan: LearningPlan
    measure: str
    advance: Advance
    _runner: Runner
    _guide: Tensor | None
    _points: list[tuple[float, list[float], list[float]]] = field(default_factory=list)
    """Epochs done, then measure and loss of each network."""

    @classmethod
    def of(
        cls,
        network: StackedArchitecture,
        validation: DataSplit,
        plan: LearningPlan,
        measure: str,
        advance: Advance,
    ) -> "LearningCurves":
        """Return empty curves, on as many of the validation examples as are planned."""
        chosen = sample(validation, plan.examples)
        part = validation if chosen is None else validation.at(chosen)
        guide = network.loss.guide(part.examples)
        return cls(network, part, plan, measure, advance, network.runner(), guide)

    def watch(self, epochs: int, *, before: float = 0) -> Watch:
        """Return what looks at the networks of a phase of `epochs`; `before` it there were some."""
        when = frozenset(self.plan.looks(epochs))

        def watch(epoch: int, networks: Callable[[], Stack]) -> None:
            if epoch in when:
                self._look(before + epoch, networks())

        return watch

    def points(self, network: int, *, since: int = 0) -> tuple[LearningPoint, ...]:
        """Return the curve of a network of the pack after the epoch `since`.

        A loss that is not finite is left out.
        """
        name = f"val_{target_key(self.measure)}"
        curve = []
        for epoch, measures, losses in self._points:
            if epoch <= since:
                continue
            values = {name: measures[network]}
            if math.isfinite(losses[network]):
                # A float32, whose digits beyond these are noise.
                values[LOSS] = float(f"{losses[network]:.6g}")
            curve.append(LearningPoint(float(epoch), tuple(sorted(values.items()))))
        return tuple(curve)

    @torch.no_grad()
    def _look(self, epoch: float, stack: Stack) -> None:
        pack, device = len(next(iter(stack.values()))), self.part.labels.device
        hits = torch.zeros(pack, dtype=torch.int64, device=device)
        losses = torch.zeros(pack, dtype=torch.float64, device=device)
        outputs, done = [], 0
        logits_of = StackLogits.of(self.network, stack, self._runner)
        for some in batches(self.part, chunk(self.network, device), None):
            self.advance(len(some))
            logits = logits_of(some.examples)
            end = done + len(some)
            guide = None if self._guide is None else self._guide[done:end]
            losses += self._losses(logits, some.labels, guide)
            if self.measure == "accuracy":
                hits += right(logits, some.labels)
            else:
                outputs.append(logits.cpu().clone())  # a runner's buffer is overwritten
            done = end
        if self.measure == "accuracy":
            measures = [count / done for count in hits.tolist()]
        else:
            labels = self.part.labels.cpu().numpy()
            every = torch.cat(outputs, dim=1).float().numpy()
            measures = [measured(self.measure, each, labels) for each in every]
        self._points.append((epoch, measures, (losses / done).tolist()))

    def _losses(self, logits: Tensor, labels: Tensor, guide: Tensor | None) -> Tensor:
        """Return the sum of the losses of each network, [pack], for [pack, batch, outputs]."""
        # One by one on a CPU, where the bits of a network must not depend on its pack.
        size = 1 if logits.device.type == "cpu" else _AT_ONCE
        sums = []
        for some in torch.split(logits, size):
            pack = len(some)
            guides = None if guide is None else torch.cat([guide] * pack)
            outputs = some.flatten(0, 1)
            if self.network.loss.config.name in LOSSES:
                # float32's last bits depend on where a thread's part of a batch begins.
                outputs = outputs.double()
            each = self.network.loss.values(outputs, torch.cat([labels] * pack), guides)
            sums.append(each.view(pack, -1).double().sum(1))
        return torch.cat(sums)

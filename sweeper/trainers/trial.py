"""Trial: what a user's own training is given, and how it tells of its progress."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, SupportsFloat

from sweeper.errors import InputError, shown
from sweeper.settings import DATA_VARIABLE
from sweeper.trainers.learning_curve import LearningCurve
from sweeper.types import PenaltyConfig, Scalar

if TYPE_CHECKING:
    from torch import nn

    from sweeper.modules import Penalty


class TrialEnded(BaseException):  # as KeyboardInterrupt: no error, and `except
    # Exception` lets it pass
    """The training is to end: its worker leaves, or the trial is another worker's now."""


class TrialDiverged(Exception):  # a result, not an error
    """Raised by a training that has diverged: a result of its trial, which is not tried again."""


LOOK_SECONDS = 0.2
"""After which a step looks again whether the trial is still its attempt's: one that was frozen sees
it before it does anything more."""


def _nothing() -> None:
    pass


def _no_reason() -> str:
    return ""


class Trial:
    """One configuration to train: its values, its seeds, its folder, its device.

    The service makes one for each call of a function that a study file names as `trial`. Made by
    hand, it lets the function be called without any service:

    >>> trial = Trial({"rate": 0.1, "width": 16}, seed=7)
    >>> trial.params["rate"], trial.seed, trial.attempt
    (0.1, 7, 1)
    >>> trial.step(0.5)
    >>> trial.report(1, val_accuracy=0.9)
    """

    def __init__(
        self,
        params: Mapping[str, Scalar] | None = None,
        *,
        seed: int = 0,
        order_seed: int = 0,
        arm: str = "",
        repeat: int = 0,
        slot: int = 0,
        attempt: int = 1,
        folder: str | Path = ".",
        device: str = "cpu",
        data: str | Path | None = None,
        terms: Sequence[PenaltyConfig] = (),
        keep: Callable[[], None] = _nothing,
        look: Callable[[], str] = _no_reason,
        curve: LearningCurve | None = None,
    ) -> None:
        """`keep` is called by `checkpoint`, `look` now and then: it returns a reason to end.

        `curve` takes what is reported.
        """
        self.params: Mapping[str, Scalar] = MappingProxyType(dict(params or {}))
        """All values of the trial by name, searched or fixed."""
        self.seed, self.order_seed = seed, order_seed
        """For the initial weights, and for the order of the data: alike for all arms."""
        self.arm, self.repeat, self.slot = arm, repeat, slot
        self.attempt = attempt
        """1, 2, ...: how often the training was begun."""
        self.folder = Path(folder)
        """Of this trial alone; what an earlier attempt has left is still there."""
        self.device = device
        """`cpu`, `cuda` or `cuda:1`."""
        self.terms = tuple(terms)
        """The penalties of the arm, for frameworks other than PyTorch."""
        self.share = 0.0
        """Share of the training that is done, as `step` was told last."""
        self.ending = ""
        """Reason to end; empty as long as there is none."""
        self.curve = curve or LearningCurve()
        self._data, self._keep, self._look = data, keep, look
        self._looked_at = time.monotonic()

    @property
    def data(self) -> Path:
        """Folder of datasets. Raises InputError where there is none: an account without a home."""
        if self._data is None:
            raise InputError(f"trial.data: there is no folder of datasets: set {DATA_VARIABLE}")
        return Path(self._data)

    def penalty(self, model: "nn.Module", steps: int | None = None) -> "Penalty":
        """Return the penalty of the arm for a module; where the arm has none, it does nothing.

        `steps` are those of the optimizer in the whole training, where the penalty acts during a
        share of it.
        """
        from sweeper.modules import Penalty  # PyTorch, which not every training needs

        return Penalty.of(model, self.terms, steps=steps, seed=self.order_seed)

    def step(self, share: float | None = None) -> None:
        """Say that the training goes on; `share`, from 0 to 1, is how much of it is done.

        Raises TrialEnded once it is to end. Costs less than a microsecond: for each batch.
        """
        if share is not None:
            self.share = share
        now = time.monotonic()
        if now - self._looked_at > LOOK_SECONDS:
            self._looked_at = now
            self.ending = self.ending or self._look()
        if self.ending:
            raise TrialEnded(self.ending)

    def report(self, epoch: float, **values: SupportsFloat) -> None:
        """Put a point on the learning curve: `trial.report(3, val_accuracy=0.9, loss=0.3)`.

        Points from this epoch on that an earlier attempt has reported are dropped. Numbers that are
        not finite are left out. Raises InputError for what is no number, and TrialEnded as `step`.
        """
        numbers: dict[str, float] = {}
        for name, value in {**values, "epoch": epoch}.items():
            try:
                numbers[name] = float(value)
            except (TypeError, ValueError, RuntimeError):  # a tensor of several numbers
                text = f"must be a number, got {shown(value)}"
                raise InputError(f"trial.report: {name}: {text}") from None
        if not math.isfinite(numbers["epoch"]):
            raise InputError(f"trial.report: epoch: must be finite, got {epoch}")
        self.curve.add(numbers.pop("epoch"), numbers)
        self.step()

    def checkpoint(self) -> None:
        """Have the folder, as it is now, outlive this machine; raises TrialEnded as `step` does.

        With artifacts elsewhere it is uploaded; a folder that all machines share does without.
        """
        self._looked_at = -math.inf
        self.step()
        self._keep()

    def __repr__(self) -> str:
        place = f"{self.arm}/{self.repeat}/{self.slot}, attempt {self.attempt}"
        return f"Trial({dict(self.params)}, {place})"

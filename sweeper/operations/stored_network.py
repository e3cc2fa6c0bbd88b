"""Stored network: one of those that a confirmation has kept, chosen by its size or its number."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sweeper import lifecycle
from sweeper.analysis import Front, selection_metrics
from sweeper.config import Sweep, confirmation_name, is_confirmation
from sweeper.errors import InputError, choices
from sweeper.search.artifacts import NETWORK
from sweeper.store import Store
from sweeper.types import Evaluation, TrialRecord

if TYPE_CHECKING:
    from torch import nn

    from sweeper.training.network_description import NetworkDescription

_TRIAL = re.compile(r"(?P<study>.+)#(?P<trial>\d{1,9})")


@dataclass(frozen=True, slots=True)
class StoredNetwork:
    """A network on record with its file."""

    sweep: Sweep
    """The confirmation."""
    record: TrialRecord
    evaluation: Evaluation
    """On the track of the sweep's objective: of this very network."""
    content: bytes
    preferred: int = 0
    """Networks that would have been chosen before it, had they been kept."""

    @property
    def name(self) -> str:
        """The network as people write it: its study and its trial."""
        return f"{self.record.slot.study}#{self.record.trial}"

    def description(self, folder: Path | None = None, *, raw: bool = False) -> "NetworkDescription":
        """Return what builds its module.

        For `raw` examples the dataset of a result that lacks the numbers of the normalisation, as
        those of older versions do, is loaded from `folder`. Raises DataError without it, InputError
        if it is another one.
        """
        from sweeper.training import datasets
        from sweeper.training.network_description import NetworkDescription

        described = NetworkDescription.of(
            self.sweep, self.record.config.recipe, self.record.provenance
        )
        if described.takes_raw is not None:
            return described
        if not raw and not datasets.is_here(self.sweep.dataset.name, folder):
            return described
        data = datasets.load_for(self.record.config.recipe, folder)
        if data.hash == self.record.provenance.data_hash:
            return described.with_normalisation(data.normalisation)
        if raw:
            text = f"was trained on another {self.sweep.dataset.text} than the one that is here"
            raise InputError(f"{self.name}: {text}")
        return described

    def module(self, description: "NetworkDescription", *, raw: bool = False) -> "nn.Module":
        """Return it as a module in evaluation mode; for `raw` examples with their normalisation."""
        from sweeper.training.checkpoint import from_safetensors
        from sweeper.training.network_module import for_raw_examples, network_module

        tensors = from_safetensors(self.content, self.name)
        module = network_module(description, tensors, self.name)
        return for_raw_examples(module, description, self.name) if raw else module

    def about(self) -> dict[str, str]:
        """Return what the metadata of its file tell of its place and its numbers."""
        slot = self.record.slot
        numbers = {
            "repeat": slot.repeat,
            "trial": self.record.trial,
            "nonzero": self.evaluation.nonzero,
            "total": self.record.result.total,
            f"val_{self.sweep.measure_key}": self.evaluation.val_accuracy,
            f"test_{self.sweep.measure_key}": self.evaluation.test_accuracy,
        }
        texts = {
            "sweep": slot.sweep,
            "arm": slot.arm,
            "study": slot.study,
            "dataset": self.sweep.dataset.text,
        }
        return texts | {key: str(number) for key, number in numbers.items()}


def find_network(
    store: Store,
    name: str,
    artifacts: str | None,
    *,
    arm: str = "",
    at: int | None = None,
    trial: str | None = None,
) -> StoredNetwork:
    """Return the best network of a confirmed sweep within `at` nonzero parameters, if any are kept.

    By the accuracy that the sweep selects on, of one arm or of all; or that of a trial, as
    STUDY#NUMBER. Raises UnknownSweepError, and InputError where there is none.
    """
    if trial is not None and (arm or at is not None):
        raise InputError("trial: is one network: it goes together with no arm and no size")
    if at is not None and at < 0:
        raise InputError(f"at: must be >= 0, got {at}")
    sweep = _confirmation(store, name)
    if artifacts is None:
        raise InputError("--artifacts: say where `sweeper confirm --artifacts PLACE` has put them")
    if arm and arm not in sweep.arms:
        raise InputError(f"{name}: no such arm: {choices(arm, sweep.arms)}")
    records = (
        store.records(sweep.name) if trial else store.interventions.counted_records(sweep.name)
    )
    wanted = _of_trial(name, records, trial) if trial else _by_choice(sweep, records, arm, at)
    preferred = 0
    with lifecycle.open_studies(store, sweep) as search:
        search.artifacts.use(artifacts)
        for record in wanted:
            evaluation = record.result.judged(sweep.sparsification.track)
            artifact = search.artifacts.load(record.slot.study, record.trial, NETWORK)
            if evaluation and artifact and artifact.content is not None:
                return StoredNetwork(sweep, record, evaluation, artifact.content, preferred)
            preferred += 1
    where = trial or (f"{name}, {arm}" if arm else name)
    if not preferred:
        size = f" within {at:,} nonzero parameters" if at is not None else ""
        raise InputError(f"{where}: has no network{size}")
    search_name = sweep.confirms.of if sweep.confirms else name
    raise InputError(
        f"{where}: no network of it is kept at {artifacts}: `sweeper confirm {search_name} "
        "--artifacts PLACE` keeps those that it trains"
    )


def refuse_script(sweep: Sweep) -> None:
    """Raise InputError for a sweep of a script: its networks are its own, and none is kept."""
    if sweep.script is not None:
        raise InputError(
            f"{sweep.name}: keeps no networks: {sweep.script.text} trains its own, and whatever it "
            "stores lies in the folders of its trials"
        )


def _confirmation(store: Store, name: str) -> Sweep:
    sweep = store.sweep(name)
    refuse_script(sweep)
    if is_confirmation(name):
        return sweep
    confirmation = confirmation_name(name)
    if confirmation not in store.names():
        raise InputError(
            f"{name}: no network of it is kept: `sweeper confirm {name} --artifacts PLACE` trains "
            "its best configurations again and keeps them"
        )
    return store.sweep(confirmation)


def _of_trial(name: str, records: tuple[TrialRecord, ...], trial: str) -> list[TrialRecord]:
    match = _TRIAL.fullmatch(trial)
    if not match:
        raise InputError(f"trial: must be STUDY#NUMBER, got {trial!r}")
    study, number = match["study"], int(match["trial"])
    chosen = [one for one in records if (one.slot.study, one.trial) == (study, number)]
    if not chosen:
        studies = dict.fromkeys(record.slot.study for record in records)
        known = choices(study, studies) if study not in studies else f"{study} has no {number}"
        raise InputError(f"{name}: no such trial: {known}")
    return chosen


def _by_choice(
    sweep: Sweep, records: tuple[TrialRecord, ...], arm: str, at: int | None
) -> Iterator[TrialRecord]:
    """Yield the best network within a size, then the best without it, and so on."""
    by, show = selection_metrics(sweep)
    left = {(record.slot.study, record.trial): record for record in records}
    while left:
        front = Front.of(left.values(), sweep.sparsification.track, by, show, arm)
        point = front.at(nonzero=at) if at is not None else next(reversed(front.points), None)
        if point is None:
            return
        yield left.pop((point.study, point.trial))

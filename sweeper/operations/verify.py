"""Confirmed networks judged again from their stored weights: are they what the report says?"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from sweeper import lifecycle
from sweeper.config import SUFFIX
from sweeper.errors import InputError
from sweeper.search.artifacts import NETWORK
from sweeper.store import Store
from sweeper.training import datasets
from sweeper.training.checkpoint import from_safetensors, re_evaluate
from sweeper.types import Evaluation, TrialRecord


@dataclass(frozen=True, slots=True)
class VerifiedWeights:
    """One network: what is on record, and what its weights say."""

    fact: TrialRecord
    recorded: Evaluation
    found: Evaluation | None
    """None without weights."""
    kept: bool
    """Whether weights were ever kept. Where they were and none are found, they are lost."""

    @property
    def differs(self) -> tuple[str, ...]:
        """What differs, as `nonzero: recorded 1,999, found 2,003`; the layers too."""
        if self.found is None:
            return ()
        return tuple(
            f"{field.name}: recorded {getattr(self.recorded, field.name)}, "
            f"found {getattr(self.found, field.name)}"
            for field in fields(Evaluation)
            if getattr(self.recorded, field.name) != getattr(self.found, field.name)
        )


def verify(
    name: str,
    store: Store,
    artifacts: str,
    *,
    folder: Path | None = None,
    device: str = "cpu",
    on_network: Callable[[int, int], None] = lambda done, all_: None,
) -> list[VerifiedWeights]:
    """Judge every confirmed network of a sweep again; those that diverged have none.

    On the kind of processor that trained them, numbers are equal to the last bit. Raises
    InputError if nothing is confirmed, or an artifact is no network of the sweep.
    """
    registered = name if name.endswith(SUFFIX) else name + SUFFIX
    if registered not in store.names():
        raise InputError(f"{name}: nothing is confirmed yet: sweeper confirm {name}")
    sweep = store.sweep(registered)
    data = datasets.load(sweep.dataset, folder, device)
    facts = store.records(registered)
    verified = []
    with lifecycle.open_studies(store, sweep) as search:
        search.use_artifact_store(artifacts)
        for number, fact in enumerate(facts):
            on_network(number, len(facts))
            recorded = fact.result.judged(sweep.sparsification.track)
            if recorded is None:
                continue
            kept = search.load_artifact(fact.study, fact.trial, NETWORK)
            found = None
            if kept and kept.content is not None:
                place = f"{fact.study}, trial {fact.trial}"
                found = re_evaluate(fact.config, from_safetensors(kept.content, place), data)
            verified.append(VerifiedWeights(fact, recorded, found, kept is not None))
    on_network(len(facts), len(facts))
    return verified

"""Verification of confirmed networks: their stored weights evaluated again, against the record."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from sweeper import lifecycle
from sweeper.config import confirmation_name, is_confirmation
from sweeper.errors import InputError
from sweeper.operations.stored_network import refuse_script
from sweeper.search.artifacts import NETWORK
from sweeper.store import Store
from sweeper.training.checkpoint import from_safetensors
from sweeper.training.re_evaluation import re_evaluate
from sweeper.training.recipe_data import RecipeData
from sweeper.types import Evaluation, TrialRecord


@dataclass(frozen=True, slots=True)
class VerifiedWeights:
    """The evaluation of one network on record beside that of its stored weights."""

    record: TrialRecord
    recorded: Evaluation
    evaluated: Evaluation | None
    """None without weights."""
    stored: bool
    """True if weights were ever stored. Those of which `evaluated` is None are lost then."""
    is_chain: bool = False
    """Whether it is a chain of linear layers and ReLU, whose effective count never changed."""

    @property
    def differences(self) -> tuple[str, ...]:
        """Fields that differ, as `nonzero: recorded 1,999, found 2,003`; the layers too."""
        if self.evaluated is None:
            return ()
        # Of other networks it was once the count of all nonzeros.
        older = not self.is_chain and self.recorded.effective == self.recorded.nonzero
        return tuple(
            f"{field.name}: recorded {getattr(self.recorded, field.name)}, "
            f"found {getattr(self.evaluated, field.name)}"
            for field in fields(Evaluation)
            if getattr(self.recorded, field.name) != getattr(self.evaluated, field.name)
            and not (older and field.name == "effective")
        )


@dataclass(frozen=True, slots=True)
class Verification:
    """The confirmed networks of a sweep, evaluated again from their stored weights."""

    name: str
    place: str
    """Where the weights are kept."""
    networks: tuple[VerifiedWeights, ...]

    @property
    def differing(self) -> tuple[VerifiedWeights, ...]:
        """Networks that differ from what is on record."""
        return tuple(network for network in self.networks if network.differences)

    @property
    def missing(self) -> tuple[VerifiedWeights, ...]:
        """Networks that were kept and are gone."""
        return tuple(one for one in self.networks if one.stored and one.evaluated is None)

    @property
    def never_kept(self) -> int:
        """Networks whose weights nobody asked to keep."""
        return sum(not network.stored for network in self.networks)

    @property
    def equal(self) -> int:
        """Networks that are as on record."""
        others = len(self.differing) + len(self.missing) + self.never_kept
        return len(self.networks) - others

    @property
    def passed(self) -> bool:
        """Whether some were kept, none is missing, and all are as on record."""
        some = self.never_kept < len(self.networks)
        return some and not self.differing and not self.missing

    def __str__(self) -> str:
        parts = [f"{self.equal:,} network{'' if self.equal == 1 else 's'} as on record"]
        parts += [f"{len(self.differing)} differ"] if self.differing else []
        parts += [f"{len(self.missing)} without weights at {self.place}"] if self.missing else []
        parts += [f"{self.never_kept} never kept"] if self.never_kept else []
        return f"{self.name}: {', '.join(parts)}"


def verify(
    name: str,
    store: Store,
    artifacts: str,
    *,
    folder: Path | None = None,
    device: str = "cpu",
    on_network: Callable[[int, int], None] = lambda done, all_: None,
) -> Verification:
    """Evaluate every confirmed network of a sweep again; those that diverged have none.

    On the kind of processor that trained them, numbers are equal to the last bit. Raises
    InputError if nothing is confirmed, or an artifact is no network of the sweep.
    """
    names = store.names()
    if name in names:
        refuse_script(store.sweep(name))
    confirmation = name if is_confirmation(name) else confirmation_name(name)
    if confirmation not in names:
        raise InputError(f"{name}: nothing is confirmed yet: sweeper confirm {name}")
    sweep = store.sweep(confirmation)
    known_hash = sweep.facts.hash if sweep.facts else ""
    data = RecipeData(folder, device, known_hash=known_hash)
    records = store.records(confirmation)
    verified = []
    with lifecycle.open_studies(store, sweep) as search:
        search.artifacts.use(artifacts)
        for number, record in enumerate(records):
            on_network(number, len(records))
            recorded = record.result.judged(sweep.sparsification.track)
            if recorded is None:
                continue
            artifact = search.artifacts.load(record.slot.study, record.trial, NETWORK)
            evaluated = None
            if artifact and artifact.content is not None:
                place = f"{record.slot.study}, trial {record.trial}"
                weights = from_safetensors(artifact.content, place)
                evaluated = re_evaluate(record.config, weights, data.of(record.config.recipe))
            stored, is_chain = artifact is not None, sweep.model.is_plain_mlp
            verified.append(VerifiedWeights(record, recorded, evaluated, stored, is_chain))
    on_network(len(records), len(records))
    return Verification(name, artifacts, tuple(verified))

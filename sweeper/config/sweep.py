"""Sweep: a study file as one frozen value."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

from pydantic import (
    model_validator,
)

from sweeper.config import demands
from sweeper.config.arm import SectionErrors
from sweeper.config.confirmation_plan import SUFFIX, confirmation_name
from sweeper.config.dataset import DatasetFacts, known_facts
from sweeper.config.domains import (
    Auto,
    Domain,
)
from sweeper.config.packed_sweep import packed_config, packed_recipe
from sweeper.config.registry import SLOT_SAMPLERS
from sweeper.config.script_sweep import (
    script_config,
    script_recipe,
)
from sweeper.config.seeds import derive_seed
from sweeper.config.study_file import StudyFile
from sweeper.config.weight_patterns import chosen
from sweeper.errors import SpecError
from sweeper.types import PenaltyConfig, Scalar, SharedConfig, TrialConfig


class Sweep(StudyFile):
    """A study file: one question with a fixed budget. Or the confirmation of a finished one."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if problems := demands.of_sweep(self):
            raise SectionErrors(problems)
        return self

    @property
    def confirmation_name(self) -> str:
        """The name that its confirmation is registered under; the other way, see `confirms.of`."""
        return confirmation_name(self.name)

    @property
    def is_resolved(self) -> bool:
        """Whether nothing has to be loaded: known by the registry, loaded, or a script's."""
        return self.facts is not None or self.dataset.in_registry or self.script is not None

    @cached_property
    def data(self) -> DatasetFacts:
        """Shapes and sizes of the dataset. Raises SpecError for one that nobody has loaded yet."""
        facts = self.facts or known_facts(self.dataset, self.split)
        if facts is None:
            raise SpecError([f"{self.name}: dataset: {self.dataset.text} has not been loaded yet"])
        return facts

    @property
    def total_parameters(self) -> int | None:
        """Total parameters of the network, or None for a factory of the user's own."""
        is_known = self.is_resolved and self.script is None
        return self.model.parameters(self.data) if is_known else None

    @property
    def prunable(self) -> dict[str, tuple[int, ...]] | None:
        """Shapes of the weights that are pruned, by name; None for a factory of the user's own."""
        is_known = self.is_resolved and self.script is None
        layers = self.model.layers(self.data) if is_known else None
        if layers is None:
            return None
        shapes = {layer.weight: layer.shape for layer in layers if layer.weight}
        return {name: shapes[name] for name in chosen(self.sparsification.prune, [*shapes])}

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps; an incomplete last batch is left out."""
        return self.data.train // self.training.batch_size

    @property
    def steps_per_trial(self) -> int:
        """Optimizer steps behind a pruned network."""
        epochs = self.training.epochs + self.sparsification.finetune_epochs
        return epochs * self.steps_per_epoch

    @property
    def steps_in_all(self) -> int:
        """Optimizer steps of a slot: of all its trainings, with all their fine-tuning."""
        rule = self.sparsification
        cut = self.rungs + len(rule.finetuned_curve)
        epochs = self.training.epochs + cut * rule.finetune_epochs
        return self.seeds * epochs * self.steps_per_epoch

    @property
    def trials(self) -> int:
        """Number of slots, of all arms and repeats: configurations that are tried."""
        if self.confirms:
            return self.confirms.trials
        return len(self.arms) * self.search.repeats * self.search.trials

    @property
    def rungs(self) -> int:
        """Networks that are cut from each training: 1 without a ladder."""
        return len(self.sparsification.densities) or 1

    @property
    def seeds(self) -> int:
        """Trainings of a slot. Those of a confirmation have slots of their own."""
        return 1 if self.confirms else self.search.seeds

    @property
    def networks_of_slot(self) -> int:
        """Networks that a slot brings: seed by seed, and of each seed rung by rung."""
        return self.seeds * self.rungs

    @property
    def networks(self) -> int:
        """Networks of all slots."""
        return self.trials * self.networks_of_slot

    @property
    def record_noun(self) -> str:
        """What stands on record for itself: a trial, or each of the networks that it brings."""
        return "trial" if self.networks_of_slot == 1 else "network"

    @property
    def is_space_filling(self) -> bool:
        """Whether parameters are a function of the slot alone."""
        return self.confirms is not None or self.search.sampler in SLOT_SAMPLERS

    def slots(self, arm: str) -> tuple[tuple[int, int], ...]:
        """Return (repeat, number) of every trial of an arm."""
        if self.confirms:
            return self.confirms.slots(arm)
        repeats, trials = range(self.search.repeats), range(self.search.trials)
        return tuple((repeat, number) for repeat in repeats for number in trials)

    def generation(self, number: int) -> int:
        """Return the generation of a slot: earlier ones must be reported before it."""
        # Parameters that do not depend on earlier results need not wait for them.
        return 0 if self.is_space_filling else number // self.search.in_flight

    def study(self, arm: str, repeat: int) -> str:
        """Return the name of an Optuna study, `<sweep>/<arm>/<repeat>` or `.../confirmed`."""
        if self.confirms:
            return f"{self.confirms.of}/{arm}{SUFFIX}"
        return f"{self.name}/{arm}/{repeat}"

    def studies(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return the Optuna studies of the arms: name -> (arm, repeats whose trials it holds)."""
        studies: dict[str, tuple[str, tuple[int, ...]]] = {}
        for arm in self.arms:
            repeats = range(self.search.repeats)
            for repeat in self.confirms.repeats(arm) if self.confirms else repeats:
                _, earlier = studies.get(study := self.study(arm, repeat), (arm, ()))
                studies[study] = (arm, (*earlier, repeat))
        return studies

    def shared_domains(self) -> dict[str, Any]:
        """The keys that every arm shares and that may be searched, in a fixed order."""
        if self.script is not None:
            return dict(self.parameters)
        return {
            **({} if self.sparsification.densities else {"density": self.sparsification.density}),
            "learning_rate": self.training.learning_rate,
            "momentum": self.training.momentum,
            "weight_decay": self.training.weight_decay,
            "finetune_learning_rate_factor": self.sparsification.finetune_learning_rate_factor,
        }

    def auto_parameters(self, arm: str) -> tuple[str, ...]:
        """Return the searched parameters whose range a probe has to find."""
        return tuple(key for key, value in self.domains(arm).items() if isinstance(value, Auto))

    def domains(self, arm: str) -> dict[str, Domain]:
        """Return the searched parameters of an arm, in a fixed order."""
        shared = {
            key: value
            for key, value in self.shared_domains().items()
            if isinstance(value, Domain) and key not in self.arms[arm].parameters
        }
        return {**self.arms[arm].domains, **shared}

    def with_ranges(self, ranges: Mapping[tuple[str, str], tuple[float, float]]) -> Self:
        """Return the sweep with `auto` replaced where a range is known, by (arm, parameter).

        It has another digest: it is for searching and showing, never for registering.
        """
        arms = {
            name: arm.with_ranges({key: r for (of, key), r in ranges.items() if of == name})
            for name, arm in self.arms.items()
        }
        changed = self.model_copy(update={"arms": arms})
        for cached in ("canonical", "digest"):
            changed.__dict__.pop(cached, None)
        return changed

    def config(
        self, arm: str, repeat: int, slot: int, params: dict[str, Scalar], network: int = 0
    ) -> TrialConfig:
        """Return the trial of a network of a slot with the searched values filled in."""
        seed, rung = divmod(network, self.rungs)
        further = (seed,) if seed else ()
        recipe = self.recipe(repeat)
        init_seed = derive_seed(self.seed, "init", repeat, slot, *further)
        if self.confirms:
            # Fresh ones; equal for all arms and configurations at one (repeat, seed).
            fresh = ("confirm", repeat, self.confirms.at(arm, repeat, slot)[1])
            init_seed = derive_seed(self.seed, "init", *fresh)
            order = derive_seed(self.seed, "order", *fresh)
            recipe = replace(recipe, order_seed=order, finetuned_curve=())
        if self.script is not None:
            return script_config(self, arm, recipe, init_seed, params)
        return packed_config(self, arm, recipe, init_seed, params, rung)

    def examples(self) -> tuple[PenaltyConfig, ...]:
        """Return each penalty of each arm with values from its domains, to try it out."""
        terms = [term for arm in self.arms.values() for term in arm.terms]
        return tuple(example for term in terms for example in term.examples())

    def recipe(self, repeat: int) -> SharedConfig:
        """Return the settings that all trials of a repeat share."""
        order_seed = derive_seed(self.seed, "order", repeat)
        if self.script is not None:
            return script_recipe(self.script, repeat, order_seed)
        return packed_recipe(self, repeat, order_seed)

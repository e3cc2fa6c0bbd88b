"""Sparsification: what is pruned to which density, how it is trained on, and where it is judged."""

import re
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from sweeper.config.arm import SectionErrors
from sweeper.config.domains import (
    Domain,
    Fraction,
    Number,
    Positive,
    Section,
    StrictBool,
    StrictInt,
    omit_defaults,
)
from sweeper.config.ladder import Ladder
from sweeper.config.sections import Density
from sweeper.errors import shown
from sweeper.types import PruneConfig, PruningScope, Track
from sweeper.types.trial_config import consecutive

GRANULARITY = re.compile(r"weight|input|output|[1-9][0-9]?:[1-9][0-9]?")
TINY = 1e-6
"""How far a density may be from the fraction that it stands for."""


def _granularity(text: str) -> str:
    """Return what is pruned at once. Raises ValueError."""
    allowed = "weight, input, output or N:M with N < M, such as 2:4"
    if GRANULARITY.fullmatch(text):
        pattern = consecutive(text)
        if pattern is None or pattern[0] < pattern[1]:
            return text
    raise ValueError(f"must be {allowed}, got {shown(text)}")


def _pattern(text: str) -> str:
    """Return a pattern of names of weights. Raises ValueError."""
    if not text.removeprefix("!").strip():
        raise ValueError(f"must be a pattern such as 'conv*' or '!head*', got {shown(text)}")
    return text


class Sparsification(Section):
    """Pruning and evaluation of a trained network."""

    track: Track = "pruned"
    density: Fraction = 0.05
    densities: Ladder = ()
    """Densities at which each training is cut and fine-tuned, descending; empty: `density`."""
    finetune_epochs: Annotated[StrictInt, Field(ge=0)] = 1
    finetune_learning_rate_factor: Positive = 0.2
    floor: Annotated[Number, Field(ge=0, lt=1)] = 0.5
    curve: tuple[Density, ...] = tuple(
        float(f"{0.0015 * (0.9 / 0.0015) ** (step / 19):.3g}") for step in range(20)
    )
    finetuned_curve: tuple[Density, ...] = ()
    prune: tuple[Annotated[str, AfterValidator(_pattern)], ...] = ()
    scope: PruningScope = "global"
    granularity: Annotated[str, AfterValidator(_granularity)] = "weight"
    prune_dead_biases: StrictBool = False

    @model_validator(mode="before")
    @classmethod
    def _densities_of_its_pattern(cls, raw: Any) -> Any:
        """Fill in the densities that `granularity: N:M` has, where the file says none."""
        text = raw.get("granularity") if isinstance(raw, dict) else None
        if not isinstance(text, str) or ":" not in text or not GRANULARITY.fullmatch(text):
            return raw
        stay, of = consecutive(text) or (1, 1)
        if stay >= of or raw.get("densities"):
            return raw
        return {"density": stay / of, "curve": [n / of for n in range(1, of)], **raw}

    @model_validator(mode="before")
    @classmethod
    def _density_or_densities(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and raw.get("densities") and "density" in raw:
            text = "a training has one density, or the densities of a ladder: leave out one of them"
            raise SectionErrors([("densities", text)])
        return raw

    @model_validator(mode="after")
    def _ladder_fits(self) -> Self:
        if not self.densities:
            return self
        problems = []
        if self.track == "as_trained":
            text = "cuts networks after training: needs track pruned, got as_trained"
            problems.append(("densities", text))
        if consecutive(self.granularity):
            text = f"every network has the same density with granularity {self.granularity}"
            problems.append(("densities", text))
        if self.finetuned_curve:
            text = "the networks of densities are a curve already, and on record: leave it out"
            problems.append(("finetuned_curve", text))
        if problems:
            raise SectionErrors(problems)
        return self

    @model_validator(mode="after")
    def _pattern_says_the_density(self) -> Self:
        pattern = consecutive(self.granularity)
        if pattern is None:
            return self
        stay, of = pattern
        problems: list[tuple[str, str]] = []
        if isinstance(self.density, Domain) or abs(self.density - stay / of) > TINY:
            got = shown(self.model_dump(mode="json")["density"])
            text = f"must be {stay / of:g} for granularity {self.granularity}, got {got}"
            problems.append(("density", text))
        if self.scope != "global":
            text = f"every layer has the same density with granularity {self.granularity}"
            problems.append(("scope", f"{text}; allowed: global, got {self.scope}"))
        for key in ("curve", "finetuned_curve"):
            for place, density in enumerate(getattr(self, key)):
                if abs(density * of - round(density * of)) > TINY * of or density * of < 1 - TINY:
                    text = f"must be a multiple of 1/{of} for granularity {self.granularity}"
                    problems.append((f"{key}.{place}", f"{text}, got {density:g}"))
        if problems:
            raise SectionErrors(problems)
        return self

    @property
    def prune_config(self) -> PruneConfig:
        """What is pruned, and in which order."""
        return PruneConfig(self.prune, self.scope, self.granularity, self.prune_dead_biases)

    @property
    def text(self) -> str:
        """What is kept, in a sentence: its subject and what becomes of it."""
        places = {
            "global": "over all layers are kept up to the density",
            "per_layer": "in each layer are kept, the same share of all",
            "erk": "in each layer are kept, a larger share the smaller it is (Erdos-Renyi-Kernel)",
        }
        if pattern := consecutive(self.granularity):
            text = (
                f"of {pattern[1]} consecutive inputs the {pattern[0]} weights that are largest in "
            )
            text += "magnitude are kept"
        elif self.granularity == "weight":
            text = f"the weights that are largest in magnitude {places[self.scope]}"
        else:
            text = f"the {self.granularity} units whose weights are largest in root mean square "
            text += places[self.scope]
        if self.prune:
            text += f", among the weights {', '.join(self.prune)} (! are left out)"
        if self.prune_dead_biases:
            text += "; biases that no weight leads on from go, too"
        return text

    @model_validator(mode="after")
    def _curve_is_finetuned(self) -> Self:
        if self.finetuned_curve and not self.finetune_epochs:
            raise SectionErrors([("finetuned_curve", "needs finetune_epochs of 1 or more")])
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        empty = type(written["finetuned_curve"])()
        unused = {"scope": "global", "granularity": "weight", "prune_dead_biases": False}
        if self.densities:
            del written["density"]
        return omit_defaults(written, densities=empty, finetuned_curve=empty, prune=empty, **unused)

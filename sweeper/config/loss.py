"""Loss of a study file: a name from the registry with its options, or a function of one's own."""

from typing import Annotated, Any, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from sweeper.config.arm import SectionErrors
from sweeper.config.domains import Number, Section, from_text
from sweeper.config.registry import LOSSES, PLUGIN
from sweeper.errors import choices
from sweeper.types import LossConfig


class LossChoice(Section):
    """A loss: a name from the registry, or `package.module:function`."""

    name: str = "cross_entropy"
    label_smoothing: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Share of a label that is spread over all classes."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return from_text(value, "name", cls, "a name, or a mapping with a name and its keys")

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.name not in LOSSES and not PLUGIN.fullmatch(self.name):
            known = [*LOSSES, "package.module:function"]
            raise SectionErrors([("", f"no such loss: {choices(self.name, known)}")])
        smooths = self.name in LOSSES and LOSSES[self.name].takes_smoothing
        if self.label_smoothing and not smooths:
            takers = ", ".join(name for name, entry in LOSSES.items() if entry.takes_smoothing)
            text = f"{self.name} does not take it; allowed: for {takers}"
            raise SectionErrors([("label_smoothing", text)])
        return self

    @model_serializer(mode="wrap")
    def _as_short_as_it_goes(self, write: SerializerFunctionWrapHandler) -> Any:
        """Write a name alone as text: digests of files outlive further keys."""
        return write(self) if self.label_smoothing else self.name

    @property
    def in_registry(self) -> bool:
        return self.name in LOSSES

    @property
    def config(self) -> LossConfig:
        """The loss as training takes it."""
        return LossConfig(self.name, self.label_smoothing)

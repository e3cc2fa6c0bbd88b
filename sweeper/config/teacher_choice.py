"""Teacher of a study file: a trained network that all arms learn from beside the labels."""

from typing import Annotated, Any, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from sweeper.config.arm import SectionErrors
from sweeper.config.domains import Number, Section, from_text, omit_defaults
from sweeper.config.registry import PLUGIN
from sweeper.errors import shown
from sweeper.types import TeacherConfig

FILE = ".safetensors"
"""Ending of a file that `sweeper network` or a worker wrote."""


class TeacherChoice(Section):
    """A teacher: a network file or a function that returns one, and what it weighs."""

    network: str
    """A .safetensors file, or `package.module:function`, called with (shape, classes)."""
    weight: Annotated[Number, Field(gt=0, le=1)] = 0.5
    """Share of the loss that is the distance from the teacher; the labels have the rest."""
    temperature: Annotated[Number, Field(gt=0)] = 2.0
    hash: str = ""
    """Of its parameters: filled in where it is tried, so that all workers have the same."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return from_text(value, "network", cls, "a network, or a mapping with it and its keys")

    @model_validator(mode="after")
    def _is_a_network(self) -> Self:
        if not (self.is_file or PLUGIN.fullmatch(self.network)):
            text = f"must be a {FILE} file or package.module:function, got {shown(self.network)}"
            raise SectionErrors([("network", text)])
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_not_known(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return omit_defaults(write(self), hash="")

    @property
    def is_file(self) -> bool:
        return self.network.endswith(FILE)

    @property
    def config(self) -> TeacherConfig:
        """The teacher as training takes it."""
        return TeacherConfig(self.network, self.weight, self.temperature, self.hash)

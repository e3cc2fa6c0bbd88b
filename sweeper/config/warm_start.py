"""Warm start: the best configurations of an earlier sweep, which every arm tries first."""

from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from sweeper.config.domains import Section
from sweeper.config.sections import Count, Name


class WarmStart(Section):
    """Which sweep they are of, and how many each arm tries, in every repeat the same."""

    source: Annotated[Name, Field(alias="from")]
    """Name of a finished sweep in the same storage."""
    top: Count

    @model_serializer(mode="wrap")
    def _as_in_files(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        return {"from": self.source, "top": written["top"]}

    @property
    def text(self) -> str:
        """What it does, in words."""
        best = "best configuration" if self.top == 1 else f"{self.top} best configurations"
        return f"each arm begins with the {best} of {self.source}"

    @property
    def mark(self) -> str:
        """What trials say that it gave parameters to."""
        return f"of the {self.top} best of {self.source}"

"""Terminal of rich, to which text of others can do nothing."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table as RichTable
from rich.text import Text

from sweeper.redact import visible


class Terminal(Console):
    """A console that escapes what cannot be seen, before it measures how wide a text is."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print things; a string is one line, after which no other line can be pretended."""
        super().print(*(_one_line(thing) for thing in objects), **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the text that a string is shown as."""
        return super().render_str(visible(text, allowed="\n\t"), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the pieces of anything; rich's own moves of the cursor are marked as such."""
        for piece in super().render(renderable, options):
            text, style, control = piece
            if control:
                yield piece
            else:
                yield Segment(visible(text, allowed="\n\t"), style)


class Table(RichTable):
    """A table each text of which is one line: another one could look like a row."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row."""
        super().add_row(*(_one_line(cell) for cell in cells), **options)


def _one_line(thing: Any) -> Any:
    if isinstance(thing, str):
        space = thing[: len(thing) - len(thing.lstrip("\n"))]
        return space + visible(thing[len(space) :])
    if isinstance(thing, Text):
        line = thing.copy()
        line.plain = visible(thing.plain)
        return line
    return thing

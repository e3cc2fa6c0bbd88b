"""Text of others, so that a terminal shows it and does nothing else.

Names of hosts, errors, log lines and whatever else came from a database or a worker may hold
escapes that clear the screen, write the clipboard, make links or turn the reading direction.
"""

import io
import unicodedata
from typing import TextIO

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Controls, formats (direction, zero width), halves of pairs, ends of lines and paragraphs."""


def visible(text: str, *, allowed: str = "") -> str:
    r"""Return text with characters that cannot be seen as escapes, but for those `allowed`.

    >>> print(visible("a\x1b[2Jb\u202ec\n"))
    a\x1b[2Jb\u202ec\n
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character in allowed or unicodedata.category(character) not in _UNSEEN
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


class VisibleStream(io.TextIOBase):
    """A stream that writes only what can be seen, and ends of lines and tabs."""

    def __init__(self, stream: TextIO) -> None:
        self.raw = stream
        """The stream below, for what is not text of others: colours, and data for a file."""
        self.rich_proxied_file = stream  # rich's name for it: its Console writes there

    def write(self, text: str, /) -> int:
        """Write; returns how long the text was, as every stream does."""
        # Bars of tqdm, as torchvision's download has one, go back to the start of their line.
        bar = "\r" if text.startswith("\r") else ""
        self.raw.write(bar + visible(text[len(bar) :], allowed="\n\t"))
        return len(text)

    def flush(self) -> None:
        """Flush the stream below."""
        self.raw.flush()

    def isatty(self) -> bool:
        """Return whether the stream below is a terminal."""
        return self.raw.isatty()

    def fileno(self) -> int:
        """Return the file descriptor of the stream below."""
        return self.raw.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream below."""
        return self.raw.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """How the stream below deals with a character that it cannot write."""
        return self.raw.errors

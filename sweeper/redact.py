"""Redaction of text that people read: secrets and control characters do not appear in it.

Names of hosts, errors, log lines and whatever else came from a database or a worker may hold
passwords, and escapes that clear the screen, write the clipboard, make links or turn the reading
direction.
"""

import io
import re
import unicodedata
from collections.abc import Iterable
from typing import TextIO
from urllib.parse import parse_qsl

HIDDEN = "***"
"""Text in place of a secret."""
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Controls, formats (direction, zero width), halves of pairs, ends of lines and paragraphs."""


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return text without these secrets.

    >>> hide("user me, password geheim", ["geheim"])
    'user me, password ***'
    """
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def hide_passwords(text: str) -> str:
    """Return text without the passwords of the URLs in it, whatever they are.

    >>> hide_passwords("sweeper run x.yaml --storage postgresql://me:geheim@db/sweeper")
    'sweeper run x.yaml --storage postgresql://me:***@db/sweeper'
    """
    text = re.sub(r"(://[^\s:/@]*:)[^\s@]*@", rf"\1{HIDDEN}@", text)
    return re.sub(r"(?i)([?&]\w*pass\w*=)[^\s&'\"]*", rf"\1{HIDDEN}", text)


def holds_password(text: str) -> bool:
    """Tell whether a text, which may be no URL at all, holds a password."""
    query = parse_qsl(text.partition("?")[2])
    return bool(re.search(r"://[^:/@]*:[^@]+@", text)) or any(map(is_secret, dict(query)))


def is_secret(key: str) -> bool:
    """Tell whether the value of a URL's option is a secret, by its name.

    >>> is_secret("sslpassword"), is_secret("passfile")
    (True, False)
    """
    return "pass" in key.lower() and key.lower() != "passfile"  # the name of a file is none


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
        """Tell whether the stream below is a terminal."""
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
        """Error handler of the stream below, for characters that it cannot write."""
        return self.raw.errors

"""Text of an HTML page, as a reader sees it."""

import re


def readable(text: str) -> str:
    """What a browser shows: no scripts, no styles, no tags."""
    without = re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.S)
    without = without.replace("<wbr>", "")  # where a word may be broken
    return " ".join(re.sub(r"<[^>]+>", " ", without).split())

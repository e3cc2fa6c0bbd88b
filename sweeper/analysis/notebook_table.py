"""Table that a notebook shows in place of a value."""

import html
from collections.abc import Iterable, Sequence


def notebook_table(title: str, head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Return a table for notebooks, all text escaped.

    >>> notebook_table("a < b", ["n"], [["1"]])
    '<table><caption>a &lt; b</caption><tr><th>n</th></tr><tr><td>1</td></tr></table>'
    """
    rows = [_row(head, "th"), *(_row(cells, "td") for cells in body)]
    return f"<table><caption>{html.escape(title)}</caption>{''.join(rows)}</table>"


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

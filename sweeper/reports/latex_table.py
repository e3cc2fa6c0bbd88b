"""Table of a paper in LaTeX: plain tabular and booktabs, nothing else."""

import re

from sweeper.analysis.paper_table import PaperTable
from sweeper.analysis.table_cells import Column, PaperCell
from sweeper.reports.table_text import cell_text, row_name

_SPECIALS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "\0": "{}",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "–": "--",
    "\N{NO-BREAK SPACE}": "~",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


COLUMN_LETTERS = 48
"""Letters of a row that fit one of two columns; a longer one stands across the page."""


def escaped(text: str) -> str:
    r"""Return text as LaTeX prints it, letter by letter.

    >>> escaped("l1_entropy, 97 % & more")
    'l1\\_entropy, 97 \\% \\& more'
    """
    apart = re.sub("-(?=-)", "-\0", text)  # two of them in a name are no dash
    return "".join(_SPECIALS.get(letter, letter) for letter in apart)


def latex(table: PaperTable, command: str, version: str) -> str:
    """Return a table environment, with its origin in comments and what it is in the caption."""
    comments = [
        *(f"{origin}, sweeper {version}" for origin in table.origins),
        command,
        r"needs \usepackage{booktabs}",
        *table.differences,
    ]
    body = [
        " & ".join([escaped(row_name(table, row)), *map(_cell, row.cells, table.columns)])
        for row in table.rows
    ]
    environment = "table*" if max(map(len, body)) > COLUMN_LETTERS else "table"
    caption = " ".join([_title(table), *table.captions, *table.notes])
    return "\n".join(
        [
            *(f"% {_one_line(comment)}" for comment in comments),
            f"\\begin{{{environment}}}",
            r"\centering",
            r"\setlength{\belowcaptionskip}{6pt}",  # classes leave none above a table
            f"\\caption{{{escaped(_one_line(caption))}}}",
            f"\\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
            r"\toprule",
            " & ".join(["arm", *(_head(table, column) for column in table.columns)]) + r" \\",
            r"\midrule",
            *(f"{line} \\\\" for line in body),
            r"\bottomrule",
            r"\end{tabular}",
            f"\\end{{{environment}}}",
            "",
        ]
    )


def _title(table: PaperTable) -> str:
    """Return what the columns hold, in a sentence."""
    split = "test" if all(row.confirmed for row in table.rows) else table.split
    of = f"{split} {table.measure}"
    parts = []
    if any(column.accuracy is not None for column in table.columns):
        parts.append(f"{table.size} at a {of}")
    if any(column.size is not None for column in table.columns):
        parts.append(f"{of} in % within a number of {table.size}")
    text = ", ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def _head(table: PaperTable, column: Column) -> str:
    if column.accuracy is not None:
        return f"at {100 * column.accuracy:.6g}\\,\\%"
    return f"$\\le$ {_grouped(f'{column.size:,}')}"


def _cell(cell: PaperCell, column: Column) -> str:
    text = _grouped(escaped(cell_text(cell, column)))
    return f"\\textbf{{{text}}}" if cell.best else text


def _grouped(text: str) -> str:
    return text.replace(",", "{,}")


def _one_line(text: str) -> str:
    return " ".join(text.split())

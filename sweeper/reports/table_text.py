"""Text of a paper's table: its cells as people read them, Markdown, and CSV of all digits."""

import csv
import io
import re
from collections.abc import Iterable

from sweeper.analysis.paper_table import PaperRow, PaperTable, column_text
from sweeper.analysis.table_cells import Column, PaperCell

CSV_COLUMNS = (
    *("sweep", "arm", "track", "confirmed", "value_is", "at", "value", "low", "high", "n"),
    *("beside", "note"),
)
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>|~$]")
EMPTY = "–"


def cell_text(cell: PaperCell, column: Column) -> str:
    """Return a cell: its value, behind it in brackets the interval, or the accuracy beside."""
    if cell.value is None:
        return EMPTY
    if cell.bound:
        return f"≤ {_number(cell.value if cell.high is None else cell.high, column)}"
    text = _number(cell.value, column)
    if cell.beside is not None:
        return f"{text} ({100 * cell.beside:.2f})"
    if cell.low is None or cell.high is None:
        return text
    return f"{text} ({_number(cell.low, column)}–{_number(cell.high, column)})"


def head_texts(table: PaperTable) -> list[str]:
    """Return what stands above the columns, in full: the arm, then a quantity for each."""
    split = "test" if all(row.confirmed for row in table.rows) else table.split
    return [
        "arm",
        *(
            f"{table.size} at {100 * column.accuracy:.6g} % {split} {table.measure}"
            if column.accuracy is not None
            else f"{split} {table.measure} in % {column_text(column)} {table.size}"
            for column in table.columns
        ),
    ]


def row_name(table: PaperTable, row: PaperRow) -> str:
    """Return the arm, with its sweep where there are several."""
    return f"{row.sweep}/{row.arm}" if table.several else row.arm


def markdown(table: PaperTable, command: str) -> str:
    """Return a table as GitHub shows it, with what it is above and what to know below."""
    head = head_texts(table)
    lines = [_line(map(_escaped, head)), _line(["---", *["---:"] * len(table.columns)])]
    for row in table.rows:
        cells = []
        for cell, column in zip(row.cells, table.columns, strict=True):
            text = cell_text(cell, column)
            cells.append(f"**{text}**" if cell.best else text)
        lines.append(_line([_escaped(row_name(table, row)), *cells]))
    captions = [_escaped(caption) for caption in table.captions]
    notes = [f"- {_escaped(note)}" for note in (*table.notes, *table.differences)]
    made = f"Of {', '.join(map(_escaped, table.origins))} by `{command.replace('`', '')}`."
    parts = ["\n\n".join(captions), "\n".join(lines), "\n".join(notes), made]
    return "\n\n".join(part for part in parts if part) + "\n"


def csv_text(table: PaperTable) -> str:
    """Return a line for each cell, numbers with all their digits; what is not there is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            what, level = table.size, column.accuracy
            if column.size is not None:
                what, level = table.measure, column.size
            writer.writerow(
                [
                    *(row.sweep, row.arm, row.track or "", str(row.confirmed).lower(), what),
                    *(level, cell.value, cell.low, cell.high, cell.n, cell.beside, cell.note),
                ]
            )
    return text.getvalue()


def _number(value: float, column: Column) -> str:
    return f"{value:,.0f}" if column.accuracy is not None else f"{100 * value:.2f}"


def _escaped(text: str) -> str:
    """Return text in which Markdown sees nothing of its own."""
    return _MARKDOWN.sub(lambda match: f"\\{match[0]}", text)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"

"""The cost of looking, as a table: one column for each server, ratios beside stock's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import methodcaller
from typing import Any

from shelf import Shelf
from visits import Times

START = "start to first answer"
NEW = "the same, first of a version"


@dataclass(frozen=True)
class Visit:
    """What was measured of one server."""

    server: str
    first: dict[str, Times]
    """By path: of a server that was asked nothing yet."""
    polls: dict[str, Times]
    """By path: of many viewers at once."""
    rates: dict[str, float]
    """Trials a second that a writer records, by what viewers ask for meanwhile."""


def whole(visits: Sequence[Visit], shelf: Shelf, viewers: int, kind: str) -> str:
    """All parts, one below another."""
    width = 1 + max(len(name) for one in visits for name in [*one.first, *one.polls])
    head = "".join(f"{one.server:>24}" for one in visits)
    lines = [
        f"{shelf.sweeps} sweeps of {shelf.trials} finished trials, {kind}; x: beside stock",
        f"{'first visit, ms':<{width + 2}}{head}",
    ]
    lines += _rows(width, visits, lambda one: one.first, lambda times: times.median)
    total = [sum(t.median for path, t in one.first.items() if _both(path)) for one in visits]
    lines.append(_row(width, "all of Optuna's", [_cell(each, total[0]) for each in total]))
    for share in (0.5, 0.95):
        lines += ["", f"{viewers} viewers at once, ms, p{100 * share:.0f}"]
        lines += _rows(width, visits, lambda one: one.polls, methodcaller("quantile", share))
    lines += ["", "writer, trials a second, beside viewers that ask every second; x: beside nobody"]
    for name in dict.fromkeys(name for one in visits for name in one.rates):
        cells = [_cell(one.rates.get(name), one.rates["nobody"]) for one in visits]
        lines.append(_row(width, name, cells))
    return "\n".join(lines)


def described(visit: Visit) -> dict[str, Any]:
    """Return a visit for JSON."""

    def of(times: dict[str, Times]) -> dict[str, Any]:
        return {
            name: {
                "p50": one.quantile(0.5),
                "p95": one.quantile(0.95),
                "statuses": sorted(one.statuses),
                "bytes": one.size,
            }
            for name, one in times.items()
        }

    first, polls = of(visit.first), of(visit.polls)
    return {"server": visit.server, "first": first, "polls": polls, "writer": visit.rates}


def _both(path: str) -> bool:
    return path != START and not path.startswith("/sweeps/")


def _rows(
    width: int,
    visits: Sequence[Visit],
    part: Callable[[Visit], dict[str, Times]],
    figure: Callable[[Times], float],
) -> list[str]:
    lines = []
    for name in dict.fromkeys(name for one in visits for name in part(one)):
        found = [part(one).get(name) for one in visits]
        base = figure(found[0]) if found[0] else None
        cells = [times.failed or _cell(figure(times), base) if times else "-" for times in found]
        lines.append(_row(width, name, cells))
    return lines


def _row(width: int, name: str, cells: Sequence[str]) -> str:
    return f"  {name:<{width}}" + "".join(f"{cell:>24}" for cell in cells)


def _cell(figure: float | None, base: float | None) -> str:
    if figure is None:
        return "-"
    return f"{figure:.1f} {figure / base:.2f}x" if base else f"{figure:.1f}"

"""Name clashes: arms, searched parameters and sweeps whose names some databases take for one.

Optuna's tables have the database's collation, and those of MySQL and MariaDB do not tell `L1` from
`l1`, nor accents, widths of letters or spaces at an end. Two arms would share a study.
"""

import unicodedata
from collections.abc import Iterable
from itertools import combinations

from sweeper.config.sweep import Sweep
from sweeper.errors import SpecError

ADVICE = "which MySQL and MariaDB take for one name: rename one of them"


def folded(name: str) -> str:
    """Return a name as the coarsest of the usual collations compares it."""
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).rstrip()


def clashes(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of different names that may be taken for one, in their order."""
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        groups.setdefault(folded(name), []).append(name)
    return [pair for group in groups.values() for pair in combinations(group, 2)]


def problems(sweep: Sweep, registered: Sweep | None = None) -> list[str]:
    """Return a line for each pair of arms, or of parameters of an arm, that are alike.

    Arms that are `registered`, and so on record, go on as they are.
    """
    old = set(registered.arms) if registered else set()
    lines = [
        f"arms.{second}: differs from {first!r} in case alone, {ADVICE}"
        for first, second in clashes(sweep.arms)
        if not {first, second} <= old
    ]
    for name in sweep.arms:
        if name not in old:
            lines += [
                f"arms.{name}: searches {first!r} and {second!r}, {ADVICE}"
                for first, second in clashes(sweep.domains(name))
            ]
    return lines


def refuse_alike(sweep: Sweep, place: str) -> None:
    """Raise SpecError for names that some databases take for one; `place` is the study file.

    Registering a sweep refuses them too, but a sweep that is on record goes on.
    """
    if lines := problems(sweep):
        raise SpecError(f"{place}: {line}" for line in lines)

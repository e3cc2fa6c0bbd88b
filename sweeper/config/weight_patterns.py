"""Weight patterns: which of a network's weights are pruned, by names with wildcards."""

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

from sweeper.errors import choices


def chosen(patterns: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Return the names that patterns choose: all, or those of a pattern, less those of a `!`.

    >>> chosen(["!embed*"], ["embed.weight", "first.weight"])
    ('first.weight',)
    >>> chosen(["*.weight", "!first*"], ["embed.weight", "first.weight"])
    ('embed.weight',)
    """
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")] or ["*"]
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return tuple(name for name in names if _matches(name, wanted) and not _matches(name, unwanted))


def faults(patterns: Sequence[str], names: Sequence[str]) -> list[tuple[str, str]]:
    """Return what is wrong with patterns for a network: the place, empty for all, and the text."""
    problems = []
    for place, pattern in enumerate(patterns):
        if not any(_matches(name, [pattern.removeprefix("!")]) for name in names):
            text = f"matches no weight of two or more dimensions: {choices(pattern, names)}"
            problems.append((str(place), text))
    if not problems and not chosen(patterns, names):
        problems.append(("", f"leaves no weight to prune, of {', '.join(names)}"))
    return problems


def _matches(name: str, patterns: Collection[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)

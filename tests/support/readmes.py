"""READMEs of the checkout by their path, and what stands in them."""

import re

from support.paths import ROOT

FOLDERS = ("studies", "sweeper", "db", "tests")
READMES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [
        ROOT / "README.md",
        *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("README.md"))),
    ]
}
"""The first one is that of the project."""
PROJECT = READMES["README.md"]
STUDIES = READMES["studies/README.md"]
HOUSE = READMES["sweeper/README.md"]
REGULARIZERS = READMES["sweeper/regularizers/README.md"]
MODULES = READMES["sweeper/modules/README.md"]
NETWORK_FILES = READMES["sweeper/training/README.md"]
DASHBOARD = READMES["sweeper/dashboard/README.md"]
WORKERS = READMES["sweeper/worker/launch/README.md"]
BENCHMARKS = READMES["tests/bench/README.md"]


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def rows(text: str, heading: str) -> list[str]:
    """Return the lines of the table whose head starts so."""
    _, _, after = text.partition(f"\n{heading}")
    return [line for line in after.partition("\n\n")[0].splitlines()[2:] if line.startswith("|")]


def cells(line: str) -> list[str]:
    """Return the cells of a table's line."""
    return [cell.strip() for cell in line.strip("|").split("|")]

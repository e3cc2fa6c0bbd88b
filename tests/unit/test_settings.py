"""Names of environment variables stand in one module."""

import ast
from collections.abc import Iterator
from pathlib import Path

import sweeper

PACKAGE = Path(sweeper.__file__).parent


def literals(tree: ast.AST) -> Iterator[str]:
    """Yield the texts of a module but its docstrings."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield str(node.value)


def test_variables_are_named_in_settings_alone() -> None:
    modules = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any("SWEEPER_" in text for text in literals(ast.parse(path.read_text())))
    }
    assert modules == {"settings.py"}

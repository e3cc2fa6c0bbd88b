"""The house's names and imports: no name twice, no circle, subjects first."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grimp

from support.paths import ROOT, TESTS


def parsed(folder: Path) -> dict[Path, ast.Module]:
    """Return the syntax trees of a folder's modules, by path within the checkout."""
    return {
        path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.py"))
    }


HOUSE = parsed(ROOT / "sweeper")


def public_classes() -> Iterator[tuple[str, Path]]:
    """Return the public classes of the package's modules, each with its file."""
    for path, tree in HOUSE.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield node.name, path


def identifiers(tree: ast.AST) -> set[str]:
    """Return the names that a module gives: of variables, arguments, attributes, keywords."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                names.add(name)
            case ast.arg(arg=name) | ast.ExceptHandler(name=str(name)):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
    return names


def imports(tree: ast.AST) -> set[str]:
    """Return the modules that a module imports by name, at its top or later."""
    modules: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                modules |= {alias.name for alias in aliases}
            case ast.ImportFrom(module=str(module)):
                modules.add(module)
    return modules


def test_no_two_public_classes_share_a_name() -> None:
    classes = list(public_classes())
    counts = Counter(name for name, _ in classes)
    assert [(name, str(path)) for name, path in classes if counts[name] > 1] == []


def test_a_file_name_occurs_once() -> None:
    counts = Counter(path.name for path in HOUSE)
    assert {name for name, times in counts.items() if times > 1} == {"__init__.py"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph("sweeper", exclude_type_checking_imports=True)
    packages = {"sweeper", *(module for module in graph.modules if graph.find_children(module))}
    circles = {package: graph.nominate_cycle_breakers(package) for package in packages}
    assert {package: breakers for package, breakers in circles.items() if breakers} == {}


def test_a_docstring_begins_with_its_subject() -> None:
    first = {
        path: (ast.get_docstring(tree) or "").partition(" ")[0] for path, tree in HOUSE.items()
    }
    vague = {"", "What", "Whether", "How", "Where", "While"}
    assert [str(path) for path, word in first.items() if word in vague] == []


def test_no_identifier_is_called_found() -> None:
    assert [str(path) for path, tree in HOUSE.items() if "found" in identifiers(tree)] == []


def test_no_test_is_imported() -> None:
    imported = {path: imports(tree) for path, tree in parsed(TESTS).items()}
    tests = re.compile(r"(^|\.)(test_\w+|conftest)$")
    assert {str(path) for path, names in imported.items() if any(map(tests.search, names))} == set()

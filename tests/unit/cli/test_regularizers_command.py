"""`sweeper regularizers`: what it says is held against the registry, and its arms can be run."""

import json
import re
import textwrap
from typing import Any

import pytest
import yaml

from support.factories import make_sweep
from sweeper.cli import main
from sweeper.config.registry import (
    APPLY_MODES,
    EXACT_ZEROS,
    FORMULAS,
    METHODS,
    method_plugins,
    plugins,
)

NAMES = [*FORMULAS, *METHODS]


@pytest.fixture(name="said")
def _said(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what the command says."""

    def said(*words: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["regularizers", *words])
        found = capsys.readouterr()
        assert (ended.value.code or 0) == code, found.err
        return found.err if code else found.out

    return said


def sections(page: str) -> dict[str, str]:
    """Return the parts of a page by their titles."""
    parts = re.split(r"^([a-z][a-z ]*)\n(?=  )", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def entries(section: str) -> dict[str, str]:
    """Return the lines of two columns of a part, as if they had not been wrapped."""
    found = re.findall(r"^  (\S.*(?:\n {3,}.*)*)", section, re.MULTILINE)
    pairs = (re.split(r" {2,}", text, maxsplit=1) for text in found)
    return {name: flat(text) for name, text in pairs}


def flat(text: str) -> str:
    """Return text as if it had not been wrapped."""
    return " ".join(text.split())


def test_the_tables_show_every_entry_within_80_columns(said: Any) -> None:
    text = said()
    assert max(map(len, text.splitlines())) <= 80
    for name in NAMES:
        assert re.search(rf"^{name} ", text, re.MULTILINE), name
    for name, formula in FORMULAS.items():
        row = next(line for line in text.splitlines() if line.startswith(f"{name} "))
        letters = (
            "-" if way not in formula.modes
            else way[0].upper() if way == formula.default_mode
            else way[0]
            for way in APPLY_MODES
        )  # fmt: skip
        zeros = formula.gives_zeros and bool(EXACT_ZEROS & set(formula.modes))
        assert re.search(rf" {''.join(letters)} .*{'yes' if zeros else 'no'} *$", row), row


@pytest.mark.parametrize("name", FORMULAS)
def test_the_page_of_a_formula_says_all_that_is_known_of_it(said: Any, name: str) -> None:
    formula, page = FORMULAS[name], said(name)
    assert max(map(len, page.splitlines())) <= 80
    parts = sections(page)
    assert flat(page).startswith(f"{name}: {formula.summary} ")
    assert flat(parts["formula"]).startswith(formula.formula)
    assert flat(parts["reference"]) == flat(formula.reference)
    ways = entries(parts["ways"])
    assert tuple(ways) == APPLY_MODES
    missing = {way: f"not there: {reason}" for way, reason in formula.unsupported.items()}
    assert {way: text for way, text in ways.items() if text.startswith("not")} == missing
    usual = [way for way, text in ways.items() if "(unless the file says otherwise)" in text]
    assert usual == [formula.default_mode]
    keys = entries(parts.get("keys", ""))
    assert list(keys) == list(formula.hyper)
    for key, hyper in formula.hyper.items():
        assert keys[key].startswith("default ")
        assert hyper.allowed in keys[key]
        assert keys[key].endswith(hyper.summary)
    properties = entries(parts["properties"])
    assert properties["sees arrangement"].startswith(formula.sees_arrangement_of or "no: ")
    assert ("R(aW) = R(W)" in properties["scale invariant"]) == formula.scale_invariant
    zeros = [way for way in formula.modes if way in EXACT_ZEROS and formula.gives_zeros]
    assert re.findall("prox|shrink", properties["exact zeros"]) == zeros


@pytest.mark.parametrize("name", FORMULAS)
def test_every_letter_of_a_formula_is_explained(said: Any, name: str) -> None:
    # Oracle: a letter that stands alone is a key, the sign of a product, or has its own line.
    formula = FORMULAS[name]
    text = sections(said(name))["formula"]
    explained = set(re.findall(r"^  (\w+): ", text, re.MULTILINE))
    words = re.split(r"[^A-Za-z0-9_]+", formula.formula.replace("w_g", "w g"))
    letters = {word for word in words if len(word) == 1 and word.isalpha()}
    inline = {"m"} if "m = " in formula.formula else set()
    assert letters - {"R", "x"} - set(formula.hyper) - inline <= explained
    assert ("strength" in explained) == formula.strength_inside


@pytest.mark.parametrize("name", METHODS)
def test_the_page_of_a_method_says_all_that_is_known_of_it(said: Any, name: str) -> None:
    entry, page = METHODS[name], said(name)
    assert max(map(len, page.splitlines())) <= 80
    parts = sections(page)
    assert flat(parts["how"]) == flat(entry.description)
    assert flat(parts["reference"]) == entry.reference
    keys = entries(parts.get("keys", ""))
    assert list(keys) == list(entry.hyper)
    for key, hyper in entry.hyper.items():
        assert keys[key].startswith("default ")
        assert hyper.allowed in keys[key]
        assert keys[key].endswith(hyper.summary)
    properties = entries(parts["properties"])
    assert ("without penalties" in properties["strength"]) == entry.has_strength
    assert ("while it is trained" in properties["cut to the density"]) == entry.takes_density
    assert ("needs" in properties) == entry.mlp_only


@pytest.mark.parametrize("name", NAMES)
def test_the_arm_of_a_page_can_be_run_as_it_stands(said: Any, name: str) -> None:
    text = textwrap.dedent(sections(said(name))["an arm of a study file"])
    sweep = make_sweep(arms=yaml.safe_load(text)["arms"])
    [(arm, found)] = sweep.arms.items()
    assert arm == name
    known = FORMULAS[name].hyper if name in FORMULAS else METHODS[name].hyper
    assert set(known) <= set(yaml.safe_load(text)["arms"][name])
    automatic = sweep.auto_parameters(arm)
    assert automatic == (("strength",) if "auto" in text else ())
    sweep = sweep.with_ranges({(arm, key): (1e-4, 1e-2) for key in automatic})
    config = sweep.arms[arm].config({"strength": 1e-3})
    terms = [(term.penalty, term.apply) for term in config.terms]
    if name in FORMULAS:
        assert terms == ([(name, FORMULAS[name].default_mode)] if name != "none" else [])
    else:
        assert (config.name, terms) == (name, [])
    assert found.method == (name if name in METHODS else None)


def test_the_list_as_json_holds_the_pages_as_json(said: Any) -> None:
    found = json.loads(said("--json"))
    listed = {one["name"]: one for one in (*found["formulas"], *found["methods"])}
    assert list(listed) == NAMES
    for name in ("mcp", "l0_hard_concrete"):
        assert json.loads(said(name, "--json")) == listed[name]
    assert listed["l1"]["exact_zeros"] == ["prox", "shrink"]
    assert listed["l2"]["exact_zeros"] == []
    assert listed["l2"]["why_not"] == FORMULAS["l2"].unsupported
    assert listed["renyi_entropy"]["keys"]["order"]["allowed"] == "(0, 20]"
    assert found["plugins"] == plugins()
    assert found["method_plugins"] == method_plugins()


def test_an_unknown_name_is_one_line_with_the_near_one(said: Any) -> None:
    [line] = said("mpc", code=2).splitlines()
    assert line.startswith("error: no such formula or method: got 'mpc'; allowed: ")
    assert line.endswith("; did you mean 'mcp'?")
    assert all(f" {name}" in line for name in NAMES)

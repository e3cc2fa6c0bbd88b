"""Formulas and methods of a user's own: README's work, a broken one is refused in one line."""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.commands import Command, command_here
from support.readmes import REGULARIZERS, blocks
from sweeper.config import registry
from sweeper.config.registry import GROUP, METHOD_GROUP
from sweeper.store import Store

STUDY = """\
name: own
dataset: digits
model: mlp(16)
training: {epochs: 2, batch_size: 64, learning_rate: 0.1}
sparsification: {density: 0.2, finetune_epochs: 1, floor: 0.2}
search: {sampler: qmc, trials: 2}
"""
# l1 again: by autograd, and with everything written out. `letters` is what sweeper gives for eps.
OWN_L1 = '''\
from sweeper import Formula, Hyperparameter


def plain(weight):
    """Sum of magnitudes."""
    return weight.abs().sum(-1).sum(-1)


def value(weight, *, slope=1.0):
    return slope * plain(weight)


def shrinkage(weight, *, slope=1.0):
    return weight.new_ones(weight.shape[0], 1, 1)


def prox(weight, *, step, strength, slope=1.0):
    limit = (step * strength).reshape(-1, 1, 1)
    return weight.sign() * (weight.abs() - limit).clamp_min(0)


WHOLE = Formula(
    summary="l1 of my own",
    formula="R(W) = slope sum |w|",
    reference="nobody",
    value="own_l1:value",
    shrinkage="own_l1:shrinkage",
    prox="own_l1:prox",
    default_mode="prox",
    hyper={"slope": Hyperparameter(default=1.0, low=0.0, high=2.0, summary="a factor")},
)
'''


def block(language: str, holding: str) -> str:
    """Return the block of their README that holds some text."""
    [text] = [text for text in blocks(REGULARIZERS, language) if holding in text]
    return text


def install(folder: Path, name: str, point: str, text: str, group: str = GROUP) -> None:
    """Install a package as pip does: its module, and what its pyproject.toml says."""
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    said = folder / f"{name}-1.0.dist-info"
    said.mkdir()
    (said / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    points = tomllib.loads(point)["project"]["entry-points"]
    lines = [f"[{group}]", *(f"{key} = {value}" for key, value in points[group].items())]
    (said / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture(name="command")
def _command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run a command in this process in a folder of its own; returns code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEPER_STORAGE", raising=False)
    registry.plugins.cache_clear()
    registry.method_plugins.cache_clear()

    return command_here(capsys)


@pytest.mark.slow
def test_the_package_of_readme_is_found_tried_and_trained(
    command: Command,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site, folder = tmp_path_factory.mktemp("site"), tmp_path
    monkeypatch.setenv("PYTHONPATH", str(site))  # where the worker, a process of its own, finds it
    monkeypatch.syspath_prepend(str(site))
    install(site, "my_penalties", block("toml", GROUP), block("python", "def sum_of_roots"))
    (folder / "own_l1.py").write_text(OWN_L1)
    [mine] = yaml.safe_load(block("yaml", "my_penalties"))["arms"].values()
    assert mine["strength"] == "auto"
    arms = {"readme": mine, "named": {**mine, "penalty": "sum_of_roots"}, "dense": {}}
    for way in ("loss", "decoupled", "shrink"):
        arms[f"l1-{way}"] = {"penalty": "l1", "apply": way, "strength": 0.03}
        arms[f"own-{way}"] = {**arms[f"l1-{way}"], "penalty": "own_l1:plain"}
    arms["l1-prox"] = {"penalty": "l1", "apply": "prox", "strength": 0.03}
    arms["own-prox"] = {**arms["l1-prox"], "penalty": "own_l1:WHOLE", "slope": 1.0}
    (folder / "study.yaml").write_text(STUDY + yaml.safe_dump({"arms": arms}))

    listed = command("regularizers")[1]
    assert re.search(r"^sum_of_roots +my_penalties:sum_of_roots *$", listed, re.MULTILINE)
    assert command("check", "study.yaml")[::2] == (0, "")
    code, said, err = command("run", "study.yaml", "--workers", "1", "--pack", "22")
    assert (code, err) == (0, "")
    assert "own: new sweep, 11 arms, 22 trials" in said
    store = Store(f"sqlite:///{folder}/sweeper.db")
    facts = {(fact.slot.arm, fact.slot.number): fact.result for fact in store.records("own")}
    ranges = {one.arm: one.range for one in store.strength_ranges("own")}
    store.close()
    # The name of an installed package stands for its function.
    assert ranges["readme"] == ranges["named"]
    for way in ("loss", "decoupled", "prox", "shrink"):
        for slot in range(2):
            # Oracle: the registry's l1, from the same initial weights and data order.
            known, found = facts[f"l1-{way}", slot].as_trained, facts[f"own-{way}", slot].as_trained
            assert known is not None
            assert found is not None
            assert abs(found.nonzero - known.nonzero) <= 3  # a rounding apart, if that
            assert abs(found.val_accuracy - known.val_accuracy) < 0.01
            assert (found.nonzero < 1210) == (way in {"prox", "shrink"})
    dense, loss = facts["dense", 0].as_trained, facts["own-loss", 0].as_trained
    assert dense is not None
    assert loss is not None
    assert loss.val_accuracy < dense.val_accuracy - 0.1  # at this strength it is felt
    assert "own-prox" in (folder / "sweeps" / "own" / "report.html").read_text()


BROKEN = """\
import sys

import torch

from sweeper import Formula, Hyperparameter


def total(weight):
    return weight.abs().sum(-1).sum(-1)


def with_key(weight, *, eps):
    return total(weight)


def mode(weight, *, how):
    return {"a": 1.0}[how] * total(weight)


def number(weight):
    return 3.0


def whole(weight):
    return weight.abs().sum()


def logarithm(weight):
    return weight.abs().log().sum(-1).sum(-1)


def root(weight):
    return weight.abs().sqrt().sum(-1).sum(-1)


def mixed(weight):
    return total(weight) / total(weight).sum()


def raises(weight):
    raise RuntimeError("no\\nway")


def constant(weight):
    return torch.ones(len(weight))


def no_prox(weight, *, step, strength):
    return None


def mixing_prox(weight, *, step, strength):
    return weight - weight.mean(0)


def inner(weight, *, strength):
    return strength * total(weight)


def inner_prox(weight, *, step, strength):
    return weight * (1 - (step * strength).reshape(-1, 1, 1)).clamp_min(0)


def made(**more):
    said = dict(summary="s", formula="f", reference="r", value="broken:total", default_mode="loss")
    return Formula(**{**said, **more})


NONE = made()
PROX = made(prox="broken:no_prox")
MIXING = made(prox="broken:mixing_prox")
LOST = made(shrinkage="broken:lost")
STATED = made(unsupported={"loss": "too steep"})
EPS = Hyperparameter(1.0, "a key", low=0.0, high=1.0)
KEYED = made(value="broken:with_key", hyper={"eps": EPS})
USUALLY = made(prox="broken:mixing_prox", default_mode="prox")
INNER = made(value="broken:inner", prox="broken:inner_prox", strength_inside=True)
NUMBER = made(value="broken:CONSTANT")
CONSTANT = 3
"""
LOADED = "cannot be loaded: "
CASES = {
    "broken:lost": f"{LOADED}AttributeError: module 'broken' has no attribute 'lost'",
    "nowhere_to_be_found:f": f"{LOADED}ModuleNotFoundError: No module named 'nowhere_to_be_found'",
    "broken:CONSTANT": "must be a function or a sweeper.Formula, is a int",
    "broken:number": "must return a tensor, returned float",
    "broken:mode, how: {choice: [a, b]}": "KeyError: 'b'",
    "broken:whole": "must return [pack], here [2], returned []",
    "broken:logarithm": "is not finite where a weight is 0",
    "broken:root": "its gradient is not finite where a weight is 0",
    "broken:mixed": "mixes networks: what one gets changes with its pack",
    "broken:raises": "RuntimeError: no",
    "broken:constant": "RuntimeError: element 0 of tensors does not require grad",
    "broken:with_key": "TypeError: with_key() missing 1 required keyword-only argument: 'eps'",
    "broken:with_key, epz: 1": "unknown key: got 'epz'; allowed: eps; did you mean 'eps'?",
    "broken:total, apply: prox": "cannot be applied as prox: it names no proximal operator",
    "broken:NONE, apply: prox": "cannot be applied as prox; allowed: loss, decoupled, shrink",
    "broken:PROX, apply: prox": "its prox must have the shape of the weight",
    "broken:MIXING, apply: prox": "mixes networks: what one gets changes with its pack",
    "broken:LOST": f"broken:lost: {LOADED}AttributeError",
    "broken:NUMBER": "its value must be a function, is a int",
    "broken:STATED": "cannot be applied as loss: too steep",
}
KEYED = "must lie in [0, 1], got 2"


def test_every_broken_formula_is_refused_in_its_own_line(command: Command, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    lines = [
        f"  a{place}: {{penalty: {text.partition(',')[0]}, strength: auto"
        f"{text[len(text.partition(',')[0]) :]}}}"
        for place, text in enumerate(CASES)
    ]
    lines.append("  keyed: {penalty: broken:KEYED, strength: auto, eps: {uniform: [0.5, 2]}}")
    lines.append("  usual: {penalty: broken:USUALLY, strength: auto}")
    lines.append("  sum: {sum: {l1: {strength: auto}, broken:whole: {strength: auto}}}")
    # Those that work are not named.
    lines.append("  fine: {penalty: broken:KEYED, strength: auto, eps: 0.5}")
    lines.append("  usual-value: {penalty: broken:KEYED, strength: auto}")
    lines.append("  whole: {penalty: broken:KEYED, strength: auto, eps: {choice: [0, 0.5, 1]}}")
    lines.append("  inner: {penalty: broken:INNER, strength: auto, apply: shrink}")
    lines.append("  inner-prox: {penalty: broken:INNER, strength: auto, apply: prox}")
    (tmp_path / "s.yaml").write_text("\n".join([STUDY, "arms:", *lines]))
    for words in (("check", "s.yaml"), ("run", "s.yaml")):
        code, out, err = command(*words)
        assert (code, out) == (2, "")
        *found, keyed, usual, summed = err.splitlines()
        for line, (place, (text, expected)) in zip(found, enumerate(CASES.items()), strict=True):
            name = text.partition(",")[0]
            assert line.startswith(f"error: s.yaml: arms.a{place}.penalty: {name}: {expected}")
        assert keyed == f"error: s.yaml: arms.keyed.eps: {KEYED}"
        assert usual == (
            "error: s.yaml: arms.usual.apply: required: prox is its usual way, loss that of the "
            "file"
        )
        assert summed == (f"error: s.yaml: arms.sum.sum.broken:whole: {CASES['broken:whole']}")
        # Nothing was registered and nothing trained.
        assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != "") == [
            "broken.py",
            "s.yaml",
        ]


def test_a_module_that_ends_the_program_is_one_line(command: Command, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise SystemExit(0)")
    (tmp_path / "s.yaml").write_text(f"{STUDY}arms: {{a: {{penalty: broken:f, strength: 1}}}}")
    code, _, err = command("check", "s.yaml")
    assert (code, err.splitlines()) == (
        2,
        ["error: s.yaml: arms.a.penalty: broken:f: cannot be loaded: SystemExit: 0"],
    )


def test_what_is_imported_says_what_it_is(command: Command, tmp_path: Path) -> None:
    (tmp_path / "own_l1.py").write_text(OWN_L1)
    code, plain, _ = command("regularizers", "own_l1:plain")
    assert code == 0
    assert plain.startswith("own_l1:plain: Sum of magnitudes.\n")
    assert "prox       not there: it names no proximal operator" in plain
    code, whole, _ = command("regularizers", "own_l1:WHOLE")
    assert code == 0
    for text in ("l1 of my own", "R(W) = slope sum |w|", "nobody", "in [0, 2]; a factor"):
        assert text in whole
    # Before it is imported nobody knows its usual way: a study file has to say it.
    assert re.search(r"loss +a term of the loss \(unless the file says otherwise\)", whole)
    assert "apply: prox" in whole
    code, _, err = command("regularizers", "own_l1:lost")
    assert (code, len(err.splitlines())) == (2, 1)


def test_installed_packages_are_listed_by_name_and_cannot_replace_what_is_known(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = f'[project.entry-points."{GROUP}"]\nroots = "own_l1:plain"\nl1 = "own_l1:plain"\n'
    install(tmp_path, "own_l1", points, OWN_L1)
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.plugins.cache_clear()
    assert registry.plugins() == {"roots": "own_l1:plain"}
    assert re.search(r"^roots +own_l1:plain *$", command("regularizers")[1], re.MULTILINE)
    page = command("regularizers", "roots")[1]
    assert page.startswith("roots: Sum of magnitudes.\n")
    assert "penalty: roots" in page
    assert "did you mean 'roots'?" in command("regularizers", "rots")[2]


FADING = block("python", "class Fading")


@pytest.mark.slow
def test_the_method_of_readme_is_found_tried_and_trained(
    command: Command,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = tmp_path_factory.mktemp("site")
    monkeypatch.setenv("PYTHONPATH", str(site))  # where the worker, a process of its own, finds it
    monkeypatch.syspath_prepend(str(site))
    point = f'[project.entry-points."{METHOD_GROUP}"]\nfading = "my_methods:Fading"\n'
    install(site, "my_methods", point, FADING, METHOD_GROUP)
    [readme] = yaml.safe_load(block("yaml", "my_methods"))["arms"].values()
    fixed = {**readme, "least": 1.0}
    arms = {
        "readme": readme,
        "fixed": fixed,
        "named": {**fixed, "method": "fading"},
        "off": {**fixed, "least": 0.0},
        "dense": {},
        "both": {**fixed, "penalty": "l1", "strength": 0.001},
    }
    (tmp_path / "study.yaml").write_text(STUDY + yaml.safe_dump({"arms": arms}))
    assert re.search(r"^fading +my_methods:Fading *$", command("regularizers")[1], re.MULTILINE)
    assert command("check", "study.yaml")[::2] == (0, "")
    code, _, err = command("run", "study.yaml", "--workers", "1", "--pack", "12")
    assert (code, err) == (0, "")
    store = Store(f"sqlite:///{tmp_path}/sweeper.db")
    facts = {(fact.slot.arm, fact.slot.number): fact.result for fact in store.records("own")}
    store.close()
    for slot in range(2):
        as_trained = {arm: facts[arm, slot].as_trained for arm in arms}
        # Oracle: the name of an installed package stands for its class; at 0 nothing fades.
        assert as_trained["named"] == as_trained["fixed"]
        assert as_trained["off"] == as_trained["dense"]
        assert as_trained["fixed"] != as_trained["dense"]
        assert as_trained["both"] != as_trained["fixed"]


BROKEN_METHODS = """\
import torch

from sweeper import Hyperparameter, Method


class Raising(Method):
    def after(self, weights, state, step):
        raise RuntimeError("no way")


class Keyed(Method):
    hyper = {"rate": Hyperparameter(0.5, "a rate", low=0.0, high=1.0)}

    def __init__(self, rate):
        self.rate = rate

    def finish(self, weights, state):
        for weight in weights.values():
            weight.mul_(self.rate.reshape(-1, 1, 1))


def function(weight):
    return weight.abs().sum(-1).sum(-1)
"""


def test_every_broken_method_is_refused_in_its_own_line(command: Command, tmp_path: Path) -> None:
    (tmp_path / "broken_methods.py").write_text(BROKEN_METHODS)
    cases = {
        "a: {method: broken_methods:Raising}": "a.method: broken_methods:Raising: after: "
        "RuntimeError: no way",
        "b: {method: broken_methods:function}": "b.method: broken_methods:function: must be a "
        "subclass of sweeper.Method, is a function",
        "c: {method: broken_methods:Lost}": "c.method: broken_methods:Lost: cannot be loaded: "
        "AttributeError: module 'broken_methods' has no attribute 'Lost'",
        "d: {method: broken_methods:Keyed, rate: {uniform: [0.5, 2]}}": "d.rate: must lie in "
        "[0, 1], got 2",
        "e: {method: broken_methods:Keyed, rat: 0.5}": "e.method: broken_methods:Keyed: unknown "
        "key: got 'rat'; allowed: rate; did you mean 'rate'?",
    }
    # Those that work are not named; of a known formula's keys and a method's each gets its own.
    fine = [
        "f: {method: broken_methods:Keyed}",
        "g: {method: broken_methods:Keyed, rate: {uniform: [0.5, 1]}, penalty: l1_joint_entropy, "
        "strength: auto, mix: 0.1}",
    ]
    lines = [f"  {line}" for line in (*cases, *fine)]
    (tmp_path / "s.yaml").write_text("\n".join([STUDY, "arms:", *lines]))
    code, out, err = command("check", "s.yaml")
    assert (code, out) == (2, "")
    assert err.splitlines() == [f"error: s.yaml: arms.{line}" for line in cases.values()]


@pytest.mark.parametrize(
    ("arm", "line"),
    [
        ("{method: fadin}", "arms.a.method: no such method: got 'fadin'; allowed: "),
        (
            "{method: m:C, penalty: m:f, strength: 1, rate: 1}",
            "arms.a.rate: may be the formula's or the method's, both from outside; allowed: no "
            "keys",
        ),
        (
            "{method: m:C, density: 0.5}",
            "arms.a.density: density stands for all arms in its own part of the file, and cannot "
            "be a method's",
        ),
        ("{method: m:C, strength: 1}", "arms.a.strength: has no meaning without a penalty"),
    ],
)
def test_a_method_that_cannot_be_one_is_a_line_before_it_is_tried(
    command: Command, tmp_path: Path, arm: str, line: str
) -> None:
    (tmp_path / "s.yaml").write_text(f"{STUDY}arms: {{a: {arm}}}")
    code, _, err = command("check", "s.yaml")
    assert (code, len(err.splitlines())) == (2, 1)
    assert err.startswith(f"error: s.yaml: {line}")


def test_a_method_says_what_it_is(command: Command, tmp_path: Path) -> None:
    (tmp_path / "my_methods.py").write_text(FADING)
    code, page, _ = command("regularizers", "my_methods:Fading")
    assert code == 0
    for text in ("The smallest weights of each matrix fade", "in [0, 2]; x the mean |w|"):
        assert text in " ".join(page.split())
    assert "comes from" in page
    assert "method: my_methods:Fading" in page
    code, _, err = command("regularizers", "pathlib:Path")
    assert (code, len(err.splitlines())) == (2, 1)


def test_the_tests_of_readme_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    (tmp_path / "my_methods.py").write_text(FADING)
    (tmp_path / "my_penalties.py").write_text(block("python", "def sum_of_roots"))
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("my_methods", "my_penalties"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    names: dict[str, Any] = {}
    exec(block("python", "from sweeper.testing import"), names)
    names["test_mine"]()
    for module in ("my_methods", "my_penalties"):
        monkeypatch.delitem(sys.modules, module, raising=False)

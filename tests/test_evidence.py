"""What README says about the claim is what the committed facts and networks say."""

import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from test_readme import README, ROOT

from sweeper import archive, confirming, datasets, networks
from sweeper.answers import Confirmation
from sweeper.confirming import Level
from sweeper.drift import drifts
from sweeper.effort import reaching
from sweeper.fronts import fronts
from sweeper.report import confirmation_of, figures, standalone
from sweeper.spec import SUFFIX, Sweep
from sweeper.store import Store
from sweeper.training.weights import decoded, judged_again
from sweeper.verdict import Versus, sentence, versus

NAME = "lenet300-mnist"
FOLDER = ROOT / "studies" / "results" / NAME


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The facts, without the studies of Optuna that `restore` makes beside them."""
    with closing(Store(f"sqlite:///{tmp_path_factory.mktemp('evidence')}/facts.db")) as found:
        found.upgrade()
        for folder in (FOLDER, FOLDER / archive.CONFIRMED):
            found.load(archive.read(folder))
        yield found


@pytest.fixture(scope="module")
def again(store: Store) -> Confirmation:
    found = confirmation_of(store, NAME, store.results(NAME))
    assert found is not None
    return found


def table() -> dict[str, list[str]]:
    """Return the cells of README's table of sizes by what stands in front."""
    _, _, after = README.partition("| nonzero parameters at a test accuracy")
    lines = after.partition("\n\n")[0].splitlines()[2:]
    return {first: cells for first, *cells in (_cells(line) for line in lines)}


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def _size(at: Level) -> str:
    if at.estimate:
        ends = at.estimate.low, at.estimate.high
        return f"{at.estimate.center:,.0f} ({ends[0]:,.0f} to {ends[1]:,.0f})"
    if at.most:
        return f"≤ {at.most:,.0f}"
    return f"in {at.reached} repeat{'s' * (at.reached > 1)}" if at.reached else "–"


def _ratio(row: Versus | None) -> str:
    if row and row.ratio:
        return f"{row.ratio.center:.2f} ({row.ratio.low:.2f} to {row.ratio.high:.2f})"
    return f"≥ {row.bound.value:.2f}" if row and row.bound and row.bound.side == "at least" else ""


def test_the_results_are_those_of_the_study_file() -> None:
    study = Sweep.load(ROOT / "studies" / f"{NAME}.yaml")
    assert archive.read(FOLDER).sweep.digest == study.digest


def test_readme_quotes_the_answer_and_what_it_rests_on(store: Store, again: Confirmation) -> None:
    assert again.done == again.budget
    found = sentence(versus(again.sweep, again.found))
    text = " ".join(README.replace("**", "").split())
    assert found
    assert found in text
    assert f"{len(store.results(NAME)):,} and {again.budget:,} trainings" in text
    assert f"{len(again.sweep.arms)} arms under one recipe" in text
    confirms = again.sweep.confirms
    assert confirms is not None
    number = ("no", "one", "two", "three", "four", "five")[confirms.seeds]
    assert f"trained again with {number} fresh seeds" in text
    [drift] = drifts(store.results(NAME), store.drifts(NAME))
    apart = drift.difference
    assert f"{apart.n} trials of the first six were trained again on the second" in text
    assert apart.low is not None
    assert apart.high is not None
    ends = f"{100 * apart.low:+.2f} to {100 * apart.high:+.2f}"
    assert f"differ by {100 * apart.center:+.2f} points ({ends})" in text
    reached = reaching(store.results(NAME), store.sweep(NAME))
    mine, l1 = (reached[arm][0] for arm in ("joint_entropy", "l1"))
    assert f"{mine} trials of joint_entropy reach 97 %, {l1} of l1" in text


def test_readmes_table_holds_the_sizes_and_the_ratios(again: Confirmation) -> None:
    shown = table()
    targets = again.sweep.targets.accuracy
    curves = confirming.curves(again.sweep, again.found, "test_accuracy")
    for arm, repeats in curves.items():
        name = arm.replace("_shuffled", ", its entries shuffled")
        assert shown.pop(name) == [_size(confirming.level(repeats, value)) for value in targets]
    rows = {(row.ours, row.theirs, row.accuracy): row for row in versus(again.sweep, again.found)}
    for name, cells in shown.items():
        ours, theirs = name.split(" / ")
        theirs = theirs.replace("the same, shuffled", f"{ours}_shuffled")
        assert cells == [_ratio(rows.get((ours, theirs, value))) for value in targets]
    assert len(shown) >= 3


def test_readmes_figure_is_drawn_from_the_facts(store: Store, again: Confirmation) -> None:
    [path] = re.findall(rf"\((studies/results/{NAME}/\w+\.svg)\)", README)
    views = figures(store.sweep(NAME), store.results(NAME), again)
    drawn = standalone(views[Path(path).stem])
    assert (ROOT / path).read_text(encoding="utf-8") == drawn


@pytest.mark.skipif("SWEEPER_DATA" not in os.environ, reason="SWEEPER_DATA names no MNIST folder")
def test_committed_networks_are_what_is_on_record(store: Store) -> None:
    """Some of them; `sweeper verify` takes all."""
    data = datasets.load("mnist")
    facts = {(fact.study, fact.trial): fact for fact in store.results(NAME + SUFFIX)}
    rows = pq.read_table(FOLDER / archive.CONFIRMED / networks.FILE).to_pylist()
    assert len(rows) > 100
    for row in rows[:: len(rows) // 10]:
        fact = facts[row["study"], row["trial"]]
        recorded = fact.result.judged("pruned")
        found = judged_again(fact.config, decoded(row["content"], row["name"]), data)
        assert recorded is not None
        assert found.layers == recorded.layers
        # Another kind of processor may see an image or two in another way.
        assert found.test_accuracy == pytest.approx(recorded.test_accuracy, abs=2.5e-4)
        assert found.val_accuracy == pytest.approx(recorded.val_accuracy, abs=2.5e-4)


def smallest(name: str, accuracy: float, folder: Path) -> dict[str, str]:
    """Return the size that each arm's search needs for a validation accuracy, as README has it."""
    with closing(Store(f"sqlite:///{folder}/facts.db")) as store:
        store.upgrade()
        store.load(archive.read(FOLDER.with_name(name)))
        found = fronts(store.results(name), store.sweep(name))
    points = {arm: front.at(accuracy=accuracy) for arm, front in found.items()}
    return {arm: f"{point.nonzero:,}" if point else "–" for arm, point in points.items()}


def test_readmes_moonshot_is_on_record(tmp_path: Path) -> None:
    folder = FOLDER.with_name("lenet300-mnist-moonshot")
    with closing(Store(f"sqlite:///{tmp_path}/facts.db")) as store:
        store.upgrade()
        for part in (folder, folder / archive.CONFIRMED):
            store.load(archive.read(part))
        found = confirmation_of(store, folder.name, store.results(folder.name))
    assert found is not None
    l1, entropy = found.found
    _, _, after = README.partition("**How accurate is a network of fewer than 2,000 parameters?**")
    shown = [f"{100 * one.accuracy('test_accuracy'):.2f} %" for one in (l1, entropy)]
    said = f"L1 has {shown[0]} at {l1.nonzero:,.0f} parameters, L1 with marginal entropy {shown[1]}"
    assert said in " ".join(after.split())
    assert [len(one.facts) for one in (l1, entropy)] == [5, 5]


def test_readmes_tenfold_is_on_record(tmp_path: Path) -> None:
    sizes = smallest("lenet300-mnist-naive", 0.975, tmp_path)
    _, _, after = README.partition("**Where a tenfold can come from.**")
    text = " ".join(after.partition("![")[0].split())
    assert (
        f"leaves {sizes['joint_entropy']} to joint_entropy, {sizes['l1']} to L1 as a proximal step "
        f"and all {sizes['l1_loss']} to L1 as a term of the loss"
    ) in text


FORMS = {
    "l1": "L1 alone",
    "l1_marginal_little": "L1 with a little marginal entropy (mix 0.1)",
    "l1_marginal_half": "half (0.5)",
    "l1_marginal_much": "much (2.0)",
    "l1_marginal_early": "half, in the first half of training",
    "l1_marginal_late": "half, in the second half",
    "l1_marginal_rising": "half, rising all the time",
    "marginal_after_l1": "marginal entropy in the half after L1's",
    "l1_joint": "L1 with joint entropy (mix 0.5)",
    "marginal_shrink": "marginal entropy: shrink",
    "marginal_loss": "its gradient, or a term of the loss",
    "marginal_decoupled": "its gradient, or a term of the loss",
    "marginal_unscaled": "scale invariant (not multiplied by S)",
    "joint": "joint entropy: shrink",
    "joint_unscaled": "scale invariant",
    "joint_unscaled_loss": "scale invariant, a term of the loss",
    "by_rows": "conditional entropy by rows",
    "local": "local entropy",
}


def test_readmes_table_of_forms_is_on_record(tmp_path: Path) -> None:
    _, _, after = README.partition("**Which form of entropy?**")
    lines = [
        _cells(line) for line in after.partition("The recipe was")[0].splitlines() if "|" in line
    ]
    shown = {what: size for line in lines[2:] for what, size in (line[:2], line[2:]) if what}
    sizes = smallest("lenet300-mnist-forms", 0.97, tmp_path)
    assert sizes.keys() == FORMS.keys()
    assert shown == {FORMS[arm]: size for arm, size in sizes.items()}

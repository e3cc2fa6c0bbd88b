"""Evidence in the README of studies: every figure is what the committed records say."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from support.paths import ROOT
from support.readmes import STUDIES, cells, rows
from sweeper.analysis import confirmation, family_comparison, fronts
from sweeper.analysis.conclusion import ConfirmationResult
from sweeper.analysis.confirmation import SizeAtAccuracy
from sweeper.analysis.family_comparison import FamilyComparison, compare_families
from sweeper.analysis.family_sentences import family_sentence
from sweeper.analysis.reproducibility import deviations
from sweeper.analysis.tuning_effort import trials_reaching_target
from sweeper.config import Sweep, confirmation_name
from sweeper.lifecycle import load_record
from sweeper.operations import export, export_weights
from sweeper.reports import figures, standalone_svg
from sweeper.store import Store
from sweeper.training import datasets
from sweeper.training.checkpoint import from_safetensors
from sweeper.training.re_evaluation import re_evaluate

RESULTS = ROOT / "studies" / "results"
MAIN, LARGE = "lenet300-mnist", "lenet300-mnist-large"
TEXT = " ".join(STUDIES.replace("**", "").split())
NUMBERS = ("no", "one", "two", "three", "four", "five")


@pytest.fixture(scope="module", params=[MAIN, LARGE])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def store(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The facts, without the studies of Optuna that `restore` makes beside them."""
    with loaded(name, tmp_path_factory.mktemp("evidence")) as found:
        yield found


@contextmanager
def loaded(name: str, folder: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{folder}/facts.db")) as found:
        found.upgrade()
        for part in (RESULTS / name, RESULTS / name / export.CONFIRMED):
            if part.is_dir():
                found.load([export.read(part)])
        yield found


@pytest.fixture(scope="module")
def again(store: Store, name: str) -> ConfirmationResult:
    found = load_record(store, name).confirmation
    assert found is not None
    return found


def table(name: str) -> dict[str, list[str]]:
    """Return the cells of the table of sizes, its head's too, by what stands in front."""
    _, _, after = STUDIES.partition(f"`{name}.yaml` asks")
    _, bar, after = after.partition("| nonzero parameters at a test accuracy")
    lines = (bar + after).partition("\n\n")[0].splitlines()
    return {first: others for first, *others in map(cells, [lines[0], *lines[2:]])}


def _size(at: SizeAtAccuracy) -> str:
    if at.estimate:
        ends = at.estimate.low, at.estimate.high
        return f"{at.estimate.center:,.0f} ({ends[0]:,.0f} to {ends[1]:,.0f})"
    if at.most and at.most.high:
        return f"≤ {at.most.high:,.0f}"
    return f"in {at.reached} repeat{'s' * (at.reached > 1)}" if at.reached else "–"


def _ratio(row: FamilyComparison | None) -> str:
    if row is None:
        return "not reached"
    if row.ratio:
        return f"{row.ratio.center:.2f} ({row.ratio.low:.2f} to {row.ratio.high:.2f})"
    if row.bound and row.bound.limit:
        return f"{row.bound.sign} {row.bound.limit:.2f}"
    return "open"


def test_the_table_of_studies_holds_their_dates_commits_and_numbers() -> None:
    table = map(cells, rows(STUDIES, "| study | trained on |"))
    shown = {first: texts for first, *texts, _ in table}
    recorded = {}
    for folder in sorted(path for path in RESULTS.iterdir() if path.is_dir()):
        parts = folder, folder / export.CONFIRMED
        exports = [part for part in parts if part.is_dir()]
        tables = [
            pq.read_table(part / "facts.parquet", columns=["recorded_at"]) for part in exports
        ]
        times = [time for each in tables for time in each["recorded_at"].to_pylist()]
        first, last = (datetime.fromtimestamp(end(times), UTC).date() for end in (min, max))
        commits = {
            row["git_commit"]
            for part in exports
            for row in json.loads((part / "sweep.json").read_text(encoding="utf-8"))["provenance"]
        }
        recorded[f"[`{folder.name}`](results/{folder.name})"] = [
            str(first) if first == last else f"{first} to {last.day}",
            ", ".join(sorted(text[:7] + "+" * text.endswith("-dirty") for text in commits)),
            " + ".join(f"{len(each):,}" for each in tables),
        ]
    assert shown == recorded


def test_the_results_are_those_of_the_study_file(name: str) -> None:
    study = Sweep.load(ROOT / "studies" / f"{name}.yaml")
    assert export.read(RESULTS / name).sweep.digest == study.digest


def test_readme_quotes_the_answer_and_its_budget(
    store: Store, again: ConfirmationResult, name: str
) -> None:
    assert again.done == again.budget
    found = family_sentence(compare_families(again.sweep, again.configs))
    assert found
    assert found in TEXT
    if name == MAIN:
        assert again.answer in TEXT
        assert again.answer != found  # the other track
    assert f"{len(store.records(name)):,} and {again.budget:,} trainings" in TEXT
    confirms = again.sweep.confirms
    assert confirms is not None
    assert f"trained again with {NUMBERS[confirms.seeds]} fresh seeds" in TEXT


def test_readme_says_what_the_answer_rests_on(tmp_path: Path) -> None:
    with loaded(MAIN, tmp_path) as store:
        sweep, facts = store.sweep(MAIN), store.records(MAIN)
        [drift] = deviations(facts, store.reproducibility_checks(MAIN))
    assert f"{len(sweep.arms)} arms under one recipe" in TEXT
    apart = drift.difference
    assert f"{apart.n} trials of the first six were trained again on the second" in TEXT
    assert apart.low is not None
    assert apart.high is not None
    ends = f"{100 * apart.low:+.2f} to {100 * apart.high:+.2f}"
    assert f"differ by {100 * apart.center:+.2f} points ({ends})" in TEXT
    first, second = (
        f"{one.n} by {100 * one.center:+z.2f} ({100 * one.low:+z.2f} to {100 * one.high:+z.2f})"
        for one in drift.batches
        if one.low is not None and one.high is not None
    )
    assert f"in two batches that do not agree: {first}, {second}" in TEXT
    reached = trials_reaching_target(facts, sweep)
    mine, l1 = (reached[arm][0] for arm in ("joint_entropy", "l1"))
    assert f"{mine} trials of joint_entropy reach 97 %, {l1} of l1" in TEXT


def test_readme_says_how_many_trials_of_larger_networks_collapsed(tmp_path: Path) -> None:
    with loaded(LARGE, tmp_path) as store:
        facts = store.records(LARGE)
    under = Counter(fact.slot.arm for fact in facts if fact.result.state == "collapsed")
    of_each = len(facts) // len({fact.slot.arm for fact in facts})
    assert (
        f"{under['joint_entropy']} of the {of_each} trials of joint_entropy end under 97 %, "
        f"{under['l1']} of those of l1"
    ) in TEXT


def test_readmes_table_holds_the_sizes(again: ConfirmationResult, name: str) -> None:
    shown = table(name)
    targets = again.sweep.targets.accuracy
    head = shown.pop("nonzero parameters at a test accuracy, 95 % interval over 5 repeats")
    assert head == [f"{100 * value:.4g} %" for value in targets]
    curves = confirmation.confirmed_curves(again.sweep, again.configs, "test_accuracy")
    for arm, repeats in curves.items():
        title = arm.replace("_shuffled", ", its entries shuffled")
        assert shown.pop(title) == [
            _size(confirmation.size_at_accuracy(repeats, value)) for value in targets
        ]
    assert not shown


RATIOS = {
    "joint_entropy, blind to arrangement": ("entropy", "lp"),
    "marginal_entropy, which sees it": ("arrangement", "lp"),
    "l1_marginal_entropy": ("hybrid", "lp"),
    "that, its entries shuffled": ("shuffled", "lp"),
    "l1_marginal_entropy / that, its entries shuffled": ("hybrid", "shuffled"),
}


NUMBER_WORDS = {12: "twelve", 13: "thirteen", 14: "fourteen"}


def _under_one(row: FamilyComparison) -> bool:
    if row.ratio:
        return row.ratio.high is not None and row.ratio.high < 1
    return row.bound is not None and row.bound.side == "at most"


AS_TRAINED = {
    "joint_entropy / l1": ("joint_entropy", "l1"),
    "joint_entropy / l_half": ("joint_entropy", "l_half"),
    "marginal_entropy / l1": ("marginal_entropy", "l1"),
    "l1_marginal_entropy / that, its entries shuffled": (
        "l1_marginal_entropy",
        "l1_marginal_entropy_shuffled",
    ),
}


def test_readme_shows_the_other_track_too(tmp_path: Path) -> None:
    tracks = {}
    for name in (MAIN, LARGE):
        (tmp_path / name).mkdir()
        with loaded(name, tmp_path / name) as store:
            again = load_record(store, name).confirmation
        assert again is not None
        assert again.other_track is not None
        assert again.other_track.track == "as_trained"
        rows = (*again.other_track.rows, *again.other_track.same)
        tracks[name] = {(row.ours, row.theirs, row.accuracy): row for row in rows}
    _, _, after = STUDIES.partition("| nonzero parameters as trained, of one arm")
    _, _, *lines = after.partition("\n\n")[0].splitlines()
    shown = {first: others for first, *others in map(cells, lines)}
    known = tracks[MAIN]
    assert shown == {
        title: [
            _ratio(known[*arms, value]) if (*arms, value) in known else "–"
            for value in (0.97, 0.975, 0.98)
        ]
        for title, arms in AS_TRAINED.items()
    }
    pair = AS_TRAINED["l1_marginal_entropy / that, its entries shuffled"]
    first, second = (tracks[name][*pair, 0.975] for name in (MAIN, LARGE))
    assert first.ratio is not None
    said = f"helps: {first.ratio.center:.2f} at 97.5 %, and {_ratio(second)} in the second sweep"
    assert said in TEXT
    assert all(row.settled for row in (first, second))


def test_readme_says_which_savings_are_excluded(tmp_path: Path) -> None:
    """A difference that was not shown is quoted by the limits that can be excluded."""
    again = {}
    for name in (MAIN, LARGE):
        (tmp_path / name).mkdir()
        with loaded(name, tmp_path / name) as store:
            found = load_record(store, name).confirmation
        assert found is not None
        again[name] = found
    rows = {
        (name, row.family, row.against, row.accuracy): row.ratio
        for name, one in again.items()
        for row in one.comparisons
    }
    beside = rows[MAIN, "hybrid", "lp", 0.975]
    control, larger = (
        rows[MAIN, "hybrid", "shuffled", 0.975],
        rows[LARGE, "hybrid", "shuffled", 0.982],
    )
    for ratio in (beside, control, larger):
        assert ratio is not None
        assert ratio.low is not None
        assert ratio.low < 1 < (ratio.high or 0)
    assert beside is not None and beside.low is not None  # noqa: PT018
    assert f"between {beside.low:.2f} and {beside.high:.2f} times as many at 97.5 %" in TEXT
    assert f"saves more than {100 * (1 - beside.low):.0f} %" in TEXT
    assert control is not None and control.low is not None  # noqa: PT018
    assert larger is not None and larger.low is not None  # noqa: PT018
    assert (
        f"{control.low:.2f} to {control.high:.2f} (97.5 %) and {larger.low:.2f} to "
        f"{larger.high:.2f} (98.2 %), so that a saving of more than {100 * (1 - control.low):.0f} "
        f"and {100 * (1 - larger.low):.0f} % is excluded"
    ) in TEXT
    gaps = {
        row.size: row for row in again[LARGE].gaps if (row.family, row.against) == ("hybrid", "lp")
    }
    texts = []
    for size in (12_000, 25_000):
        apart = gaps[size].difference
        assert gaps[size].theirs == "l1"
        assert apart is not None
        assert apart.low is not None
        assert apart.high is not None
        ends = f"({100 * apart.low:+.2f} to {100 * apart.high:+.2f})"
        texts.append((f"{-100 * apart.center:.2f}", ends))
    assert (
        f"{texts[0][0]} points of accuracy less than L1 within 12,000 parameters {texts[0][1]}, "
        f"{texts[1][0]} within 25,000 {texts[1][1]}"
    ) in TEXT


def test_readme_says_how_the_second_sweeps_arms_were_picked(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    with loaded(MAIN, tmp_path / "1") as store:
        first = load_record(store, MAIN).confirmation
        facts = store.records(confirmation_name(MAIN))
    assert first is not None
    chosen = confirmation.confirmed_curves(first.sweep, first.configs, "val_accuracy")
    shown = confirmation.confirmed_curves(first.sweep, first.configs, "test_accuracy")
    assert family_comparison.representative_arm(first.sweep, chosen, "lp", 0.98) == "l1_loss"
    assert family_comparison.representative_arm(first.sweep, shown, "lp", 0.98) == "elastic_net"
    assert "on validation l1_loss, not elastic_net, is first at 98 %" in TEXT
    (tmp_path / "2").mkdir()
    with loaded(LARGE, tmp_path / "2") as store:
        later = store.records(confirmation_name(LARGE))
    seeds = [{fact.config.init_seed for fact in one} for one in (facts, later)]
    assert seeds[1] <= seeds[0]
    assert "Its seeds are those of the first sweep." in TEXT


def test_readmes_ratios_are_those_of_the_two_sweeps(tmp_path: Path) -> None:
    """The smaller two accuracies are answered by the first sweep, the larger two by the second."""
    rows: dict[tuple[str, str, float], FamilyComparison] = {}
    for name, accuracies in ((MAIN, (0.97, 0.975)), (LARGE, (0.98, 0.982))):
        (tmp_path / name).mkdir()
        with loaded(name, tmp_path / name) as store:
            again = load_record(store, name).confirmation
        assert again is not None
        assert set(accuracies) <= set(again.sweep.targets.accuracy)
        for row in compare_families(again.sweep, again.configs):
            if row.accuracy in accuracies:
                rows[row.family, row.against, row.accuracy] = row
    assert {row.theirs for row in rows.values() if row.against == "lp"} == {"l1"}
    assert {row.ours for row in rows.values() if row.family == "entropy"} == {"joint_entropy"}
    _, _, after = STUDIES.partition("| nonzero parameters as a multiple of those of l1")
    _, _, *lines = after.partition("\n\n")[0].splitlines()
    shown = {first: others for first, *others in map(cells, lines)}
    asked = {
        first: [_ratio(rows.get((*families, value))) for value in (0.97, 0.975, 0.98, 0.982)]
        for first, families in RATIOS.items()
    }
    asked["marginal_entropy, which sees it"][2:] = ["not asked"] * 2  # no arm of the second sweep
    assert shown == asked
    settled = [row for row in rows.values() if (row.family, row.against) in RATIOS.values()]
    below = [row for row in settled if row.settled and (row.bound or row.ratio) and _under_one(row)]
    assert [(row.family, row.accuracy) for row in below] == [("shuffled", 0.97)]
    compared = sum(bool(row.ratio or row.bound) for row in settled)
    assert f"one of {NUMBER_WORDS[compared]} comparisons in the first table" in TEXT


def test_readmes_figure_is_drawn_from_the_facts(
    store: Store, again: ConfirmationResult, name: str
) -> None:
    [path] = re.findall(rf"\((results/{name}/\w+\.svg)\)", STUDIES)
    views = figures(load_record(store, name))
    drawn = standalone_svg(views[Path(path).stem])
    assert (ROOT / "studies" / path).read_text(encoding="utf-8") == drawn


@pytest.mark.skipif("SWEEPER_DATA" not in os.environ, reason="SWEEPER_DATA names no MNIST folder")
def test_committed_networks_are_what_is_on_record(store: Store, name: str) -> None:
    """Some of them; `sweeper verify` takes all."""
    data = datasets.load("mnist")
    facts = {(fact.slot.study, fact.trial): fact for fact in store.records(confirmation_name(name))}
    rows = pq.read_table(RESULTS / name / export.CONFIRMED / export_weights.FILE).to_pylist()
    assert len(rows) > 40
    for row in rows[:: len(rows) // 10]:
        fact = facts[row["study"], row["trial"]]
        recorded = fact.result.judged("pruned")
        found = re_evaluate(fact.config, from_safetensors(row["content"], row["name"]), data)
        assert recorded is not None
        assert found.layers == recorded.layers
        # Another kind of processor may see an image or two in another way.
        assert found.test_accuracy == pytest.approx(recorded.test_accuracy, abs=2.5e-4)
        assert found.val_accuracy == pytest.approx(recorded.val_accuracy, abs=2.5e-4)


def smallest(name: str, accuracy: float, folder: Path) -> dict[str, str]:
    """Return the size that each arm's search needs for a validation accuracy, as README has it."""
    with loaded(name, folder) as store:
        found = fronts(store.records(name), store.sweep(name))
    points = {arm: front.at(accuracy=accuracy) for arm, front in found.items()}
    return {arm: f"{point.nonzero:,}" if point else "–" for arm, point in points.items()}


def test_readmes_moonshot_is_on_record(tmp_path: Path) -> None:
    name = "lenet300-mnist-moonshot"
    with loaded(name, tmp_path) as store:
        found = load_record(store, name).confirmation
    assert found is not None
    l1, entropy = found.configs
    _, _, after = STUDIES.partition("## How accurate is a network of fewer than 2,000 parameters?")
    shown = [f"{100 * one.accuracy('test_accuracy'):.2f} %" for one in (l1, entropy)]
    said = f"L1 has {shown[0]} at {l1.nonzero:,.0f} parameters, L1 with marginal entropy {shown[1]}"
    assert said in " ".join(after.split())
    assert [len(one.records) for one in (l1, entropy)] == [5, 5]
    before = [fact.result.as_trained for fact in l1.records]
    trained = [network.test_accuracy for network in before if network]
    assert f"before them the same five networks of L1 have {100 * sum(trained) / 5:.2f} %" in TEXT
    rows = pq.read_table(RESULTS / name / export.CONFIRMED / export_weights.FILE).to_pylist()
    useless = [_useless(from_safetensors(row["content"], row["name"])) for row in rows]
    assert {round(number, -1) for number in useless} == {320}
    assert "Some 320 of the 1,981 are biases of units from which no weight leads on" in after


def _useless(network: Mapping[str, torch.Tensor]) -> int:
    """Count the hidden biases that cannot reach the output of a LeNet-300-100."""
    second = (network["5.weight"] != 0).any(0)
    first = ((network["3.weight"] != 0) & second[:, None]).any(0)
    pairs = ((network["1.bias"], first), (network["3.bias"], second))
    return sum(int(((bias != 0) & ~alive).sum()) for bias, alive in pairs)


def test_readmes_tenfold_is_on_record(tmp_path: Path) -> None:
    name = "lenet300-mnist-naive"
    with loaded(name, tmp_path) as store:
        read = family_comparison.searched(store.sweep(name), store.records(name), "as_trained")
    sizes = {arm: of[0].nonzero_at(0.975).value for arm, of in read.items()}
    joint, prox, loss = (sizes[arm] or 0 for arm in ("joint_entropy", "l1", "l1_loss"))
    mixed = [sizes[f"l1_marginal_entropy{end}"] or 0 for end in ("", "_shuffled")]
    _, _, after = STUDIES.partition("## Where a tenfold can come from")
    text = " ".join(after.partition("![")[0].split())
    assert (
        f"takes joint_entropy {joint:,.0f}, L1 as a proximal step {prox:,.0f} and all {loss:,.0f} "
        f"with L1 as a term of the loss: {prox / joint:.1f} and {loss / joint:.1f} times as many"
    ) in text
    assert sizes["joint_entropy_loss"] == loss
    assert f"beside L1 leaves {mixed[0]:,.0f}, its shuffled control {mixed[1]:,.0f}." in text


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
    _, _, after = STUDIES.partition("## Which form of entropy?")
    lines = [cells(line) for line in after.partition("\n## ")[0].splitlines() if "|" in line]
    shown = {what: size for line in lines[2:] for what, size in (line[:2], line[2:]) if what}
    sizes = smallest("lenet300-mnist-forms", 0.97, tmp_path)
    assert sizes.keys() == FORMS.keys()
    assert shown == {FORMS[arm]: size for arm, size in sizes.items()}


@pytest.mark.parametrize(
    ("name", "title", "accuracies"),
    [
        ("lenet5-mnist", "LeNet-5, beside what papers report", (0.98, 0.985, 0.99)),
        ("convnet-cifar10", "Colour pictures, a convnet with batch norm", (0.65, 0.7, 0.75)),
        ("methods-mnist", "The methods of sparse training, under", (0.95, 0.97, 0.975, 0.98)),
    ],
)
def test_readmes_table_of_a_search_is_on_record(
    tmp_path: Path, name: str, title: str, accuracies: tuple[float, ...]
) -> None:
    _, _, after = STUDIES.partition(f"## {title}")
    lines = [cells(line) for line in after.partition("\n## ")[0].splitlines() if "|" in line]
    shown = {arm: sizes for arm, *sizes in lines[2:]}
    columns = []
    for accuracy in accuracies:
        folder = tmp_path / f"{accuracy}"
        folder.mkdir()
        columns.append(smallest(name, accuracy, folder))
    assert shown == {arm: [column[arm] for column in columns] for arm in columns[0]}


def test_dense_networks_of_colour_pictures_are_as_accurate_as_readme_says(tmp_path: Path) -> None:
    with loaded("convnet-cifar10", tmp_path) as store:
        records = store.records("convnet-cifar10")
    dense = [record.result.as_trained for record in records if record.slot.arm == "dense"]
    reached = [100 * network.test_accuracy for network in dense if network]
    assert min(reached) >= 75
    said = f"six networks of `dense` have {min(reached):.1f} to {max(reached):.1f} % of the test"
    assert said in TEXT


def test_readmes_errors_of_sparse_momentum_are_on_record(tmp_path: Path) -> None:
    _, _, after = STUDIES.partition("## Does sparse momentum reach what its authors report?")
    lines = [cells(line) for line in after.partition("\n## ")[0].splitlines() if "|" in line]
    with loaded("sparse-momentum-mnist", tmp_path) as store:
        records = store.records("sparse-momentum-mnist")
    for (share, theirs, mean, ends), density in zip(lines[2:], (0.02, 0.05), strict=True):
        networks = [r.result.pruned for r in records if r.config.density == density]
        errors = [100 * (1 - network.test_accuracy) for network in networks if network]
        assert (share, len(errors)) == (f"{density:.0%}", 3)
        assert mean == f"{sum(errors) / 3:.2f}"
        assert ends == f"{min(errors):.2f} to {max(errors):.2f}"
        assert abs(sum(errors) / 3 - float(theirs)) <= 0.15

"""Confirmed networks in the report: sizes at accuracies, families against each other."""

from collections.abc import Sequence

from sweeper.analysis import FEWEST, Estimate
from sweeper.analysis.conclusion import ConfirmationResult
from sweeper.analysis.confirmation import (
    AccuracyAtSize,
    SizeAtAccuracy,
    accuracy_at_size,
    confirmed_curves,
    size_at_accuracy,
)
from sweeper.analysis.family_comparison import TRACKS, AccuracyGap, FamilyComparison
from sweeper.config.registry import family_title
from sweeper.errors import pluralize
from sweeper.plots.labels import capitalised, layer_names
from sweeper.reports.report_tables import NOTHING, Cell, ReportTable, Row, sized
from sweeper.types import LayerCount


def headline_caveat(confirmation: ConfirmationResult) -> str:
    """Return the caveat of the answer: how networks were chosen, and how often trained."""
    repeats = confirmation.sweep.search.repeats
    split, quoted = "validation", "ratios are taken on test; nothing was selected on test"
    if confirmation.sweep.select_on == "test":
        split, quoted = "TEST (select_on: test)", "and quoted on the same test examples, too good"
    if repeats < FEWEST:
        return _rests_on(
            confirmation, split, quoted, f" Under {FEWEST} repeats there are no intervals."
        )
    if confirmation.sweep.script is not None:
        few = (
            " Intervals are over the repeats of the search: what the script does alike in all of "
            "them, such as reading one set of data, is in none."
        )
        return _rests_on(confirmation, split, quoted, few)
    few = (
        " Intervals are over the repeats of the search: each held out validation examples of its "
        "own, and all saw one test set, whose own luck is in none."
        if confirmation.sweep.split.by_repeat
        else " Intervals are over the repeats of the search: all of them saw one split into "
        "training and validation examples, and one test set, whose own luck is in none."
    )
    return _rests_on(confirmation, split, quoted, few)


def _rests_on(confirmation: ConfirmationResult, split: str, quoted: str, rest: str) -> str:
    repeats = confirmation.sweep.search.repeats
    searches = "one search" if repeats == 1 else f"each of {repeats} independent searches"
    return (
        f"Of {searches} the configuration that was best on {split} within each size, trained again "
        f"with {pluralize(confirmation.seeds, 'fresh seed')}. Arms that stand for a "
        f"family were chosen on validation, {quoted}.{rest}"
    )


def levels_table(confirmation: ConfirmationResult) -> ReportTable:
    """Return nonzero parameters at test accuracies, with intervals over repeats."""
    targets = confirmation.sweep.targets.accuracy
    of = confirmed_curves(confirmation.sweep, confirmation.configs, "test_accuracy")
    body = []
    for arm in (arm for arm in confirmation.sweep.arms if arm in of):
        configs = [config for config in confirmation.configs if config.arm == arm]
        lost = sum(config.shrinkage("val_accuracy") for config in configs) / len(configs)
        failed = sum(config.failed for config in configs)
        cells = [_level(size_at_accuracy(of[arm], accuracy)) for accuracy in targets]
        cells.append(Cell(f"{100 * lost:+z.2f}"))
        cells.append(Cell(f"{failed} of {sum(len(config.records) for config in configs)}"))
        body.append(Row(arm, cells, family_title(confirmation.sweep.arms[arm].family_name)))
    head = ["arm", *(f"at {100 * value:.4g} %" for value in targets), "shrinkage", "failed"]
    measure = confirmation.sweep.measure_label
    caption = (
        f"{sized(confirmation.sweep)} at a test {measure}: read between the means of each "
        "repeat's configurations, geometric mean over repeats, below it the 95 % t-interval or in "
        "how many repeats it is reached; ≤ is the one-sided 95 % limit where the smallest networks "
        "of some repeats are better already, below it the mean. Shrinkage: points of validation "
        f"{measure} that the search promised too much. Failed: trainings that diverged or "
        "collapsed."
    )
    return ReportTable(head, body, caption)


def sizes_table(confirmation: ConfirmationResult) -> ReportTable:
    """Return test accuracies within each size."""
    body = []
    for arm in confirmation.sweep.arms:
        accuracies = [
            accuracy_at_size(confirmation.sweep, confirmation.configs, arm, size, "test_accuracy")
            for size in confirmation.sizes
        ]
        body.append(Row(arm, [_accuracy(accuracy) for accuracy in accuracies]))
    measure = confirmation.sweep.measure_label
    caption = (
        f"Test {measure} in % of the configurations that were best on validation within a number "
        f"of {confirmation.sweep.size_label}: mean over seeds, then over repeats, below it the "
        "95 % t-interval or in how many repeats there is a network within that size."
    )
    return ReportTable(["arm", *(f"≤ {size:,}" for size in confirmation.sizes)], body, caption)


def family_table(confirmation: ConfirmationResult) -> ReportTable | None:
    """Return the ratios of families; None if there is nothing to set against each other."""
    measure = confirmation.sweep.measure_label
    caption = (
        f"{capitalised(confirmation.sweep.size_label)} of the best arm of one family as a multiple "
        f"of another one's, at a test {measure}: under 1, the first needs fewer. Paired by repeat, "
        "with the 95 % t-interval; bold where it leaves out 1; ≥ or ≤ where already the smallest "
        "networks of one of the two are better: then the one-sided 95 % limit, below it the mean "
        "of the bounds. The arms, named below, were chosen on validation. "
        "Entropies with L_p contain an L_p penalty; shuffled controls see no arrangement."
    )
    return _ratios(confirmation.comparisons, caption)


def other_track_table(confirmation: ConfirmationResult) -> ReportTable | None:
    """Return the ratios of families on the other track of the search; None without any."""
    other = confirmation.other_track
    if other is None:
        return None
    images = "validation" if other.by == "val_accuracy" else "test"
    measure = confirmation.sweep.measure_label
    caption = (
        f"{TRACKS[other.track]}: nonzero parameters of one arm as a multiple of another one's, at "
        f"a {images} {measure}, of the networks that the search itself trained: read along the "
        "front of each repeat, paired by repeat. First the best arms of each family on this "
        "track, then those that stand in the table above, where they are others."
    )
    return _ratios((*other.rows, *other.same), caption)


def gaps_table(confirmation: ConfirmationResult) -> ReportTable | None:
    """Return differences of accuracy between families within each size; None without any."""
    rows = confirmation.gaps
    if not rows:
        return None
    body = []
    for family, against in dict.fromkeys((row.family, row.against) for row in rows):
        by_size = {r.size: r for r in rows if (r.family, r.against) == (family, against)}
        cells = [_gap(by_size.get(size)) for size in confirmation.sizes]
        body.append(Row(f"{family_title(family)} − {family_title(against)}", cells))
    measure = confirmation.sweep.measure_label
    caption = (
        f"Points of test {measure} of the best arm of one family minus another one's, within a "
        f"number of {confirmation.sweep.size_label}: over 0, the first is better. Paired by "
        f"repeat, with the 95 % t-interval; bold where it leaves out 0. Where {measure} hardly "
        "rises with size, "
        "this says more than a ratio of sizes. The arms, named below, were chosen on validation."
    )
    return ReportTable(["families", *(f"≤ {size:,}" for size in confirmation.sizes)], body, caption)


def layers_table(confirmation: ConfirmationResult, size: int) -> ReportTable | None:
    """Return the share of each layer's weights that is left, in networks within a size."""
    names: dict[str, LayerCount] = {}
    body = []
    for arm in confirmation.sweep.arms:
        layers = [
            layer
            for config in confirmation.configs
            if config.arm == arm and size in config.sizes
            for record in config.records
            if (network := record.result.judged(record.config.track))
            for layer in network.layers
        ]
        if not layers:
            continue
        cells = []
        for name in dict.fromkeys(layer.name for layer in layers):
            same = [layer for layer in layers if layer.name == name]
            names[name] = same[0]
            share = sum(layer.weights / layer.total_weights for layer in same) / len(same)
            mean = sum(layer.weights for layer in same) / len(same)
            cells.append(Cell(f"{100 * share:.2f} %", f"{mean:,.0f}"))
        body.append(Row(arm, cells))
    counted = list(names.values())
    titles = zip(layer_names(counted), counted, strict=True)
    head = ["arm", *(f"{title} ({layer.total_weights:,})" for title, layer in titles)]
    caption = (
        f"Weights that are left in each layer of the networks within {size:,} "
        f"{confirmation.sweep.size_label}, mean over seeds and repeats."
    )
    return ReportTable(head, body, caption) if body else None


def _level(at: SizeAtAccuracy) -> Cell:
    if at.estimate:
        return Cell(f"{at.estimate.center:,.0f}", _interval(at.estimate, ",.0f"))
    if at.most is not None:
        limit, center = at.most.high, at.most.center
        below = f"{center:,.0f}" if limit else f"n = {at.most.n}, no limit"
        return Cell(f"≤ {limit or center:,.0f}", below)
    return Cell("–", f"reached in {at.reached} of {at.repeats}" if at.reached else "")


def _accuracy(at: AccuracyAtSize) -> Cell:
    mean = at.mean
    if mean is None:
        return Cell("–", f"in {at.reached} of {at.repeats}" if at.reached else "")
    scaled = Estimate(
        100 * mean.center,
        None if mean.low is None else 100 * mean.low,
        None if mean.high is None else 100 * mean.high,
        mean.values,
    )
    return Cell(f"{scaled.center:.2f}", _interval(scaled, ".2f"))


def _interval(estimate: Estimate, digits: str) -> str:
    if estimate.low is None or estimate.high is None:
        return f"n = {estimate.n}"
    return f"{estimate.low:{digits}} to {estimate.high:{digits}}"


def _ratio(row: FamilyComparison | None) -> Cell:
    if row is None:
        return NOTHING
    arms = f"{row.ours} /\n{row.theirs}"
    if row.ratio is None and row.bound:
        limit, center = row.bound.limit, row.bound.center
        beside = f"{center:.2f}" if limit else f"n = {len(row.bound.values)}, no limit"
        return Cell(f"{row.bound.sign} {limit or center:.2f}", f"{beside}\n{arms}", row.settled)
    if row.ratio is None:
        return Cell("–", f"{row.text}\n{arms}")
    return Cell(f"{row.ratio.center:.2f}", f"{_interval(row.ratio, '.2f')}\n{arms}", row.settled)


def _ratios(rows: Sequence[FamilyComparison], caption: str) -> ReportTable | None:
    """Return a line for each two families and pair of arms that the caption is about."""
    if not rows:
        return None
    targets = sorted({row.accuracy for row in rows})
    lines: dict[tuple[object, ...], dict[float, FamilyComparison]] = {}
    for row in rows:
        # One line for two families, whoever stands for them; another for the same arms elsewhere.
        line = lines.setdefault((row.family, row.against), {})
        if row.accuracy in line:
            line = lines.setdefault((row.family, row.against, row.ours, row.theirs), {})
        line[row.accuracy] = row
    body = [
        Row(
            f"{family_title(row.family)} / {family_title(row.against)}",
            [_ratio(line.get(target)) for target in targets],
        )
        for line in lines.values()
        for row in [next(iter(line.values()))]
    ]
    return ReportTable(
        ["families", *(f"at {100 * value:.4g} %" for value in targets)], body, caption
    )


def _gap(row: AccuracyGap | None) -> Cell:
    if row is None:
        return NOTHING
    arms = f"{row.ours} −\n{row.theirs}"
    apart = row.difference
    if apart is None:
        return Cell("–", f"both in {row.paired} of {row.repeats}\n{arms}")
    if apart.low is None or apart.high is None:
        return Cell(f"{100 * apart.center:+z.2f}", f"n = {apart.n}\n{arms}")
    ends = f"{100 * apart.low:+z.2f} to {100 * apart.high:+z.2f}"
    settled = not apart.low <= 0.0 <= apart.high
    return Cell(f"{100 * apart.center:+z.2f}", f"{ends}\n{arms}", settled)


def tables(confirmation: ConfirmationResult) -> list[ReportTable]:
    """Return the tables of the report that have something to show, in their order."""
    parts = (
        levels_table(confirmation),
        family_table(confirmation),
        gaps_table(confirmation),
        other_track_table(confirmation),
        sizes_table(confirmation),
        layers_table(confirmation, confirmation.size),
    )
    return [table for table in parts if table is not None]

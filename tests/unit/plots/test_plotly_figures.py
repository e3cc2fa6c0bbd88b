"""Figures of plotly, and the views that they are drawn from."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.factories import make_fact, make_facts, make_sweep
from sweeper import plots
from sweeper.analysis import Front, attainment, fronts, fronts_by_repeat, fronts_to_pandas
from sweeper.config import Sweep
from sweeper.errors import InputError, SweeperError
from sweeper.plots import curve_view, front_view
from sweeper.plots.labels import short_count
from sweeper.plots.palette import COLORS, INK, MORE_COLORS, THEME
from sweeper.plots.published_points import published_points
from sweeper.types import CurvePoint, TrialRecord

EIGHT = {
    f"arm-{index}": {"penalty": "l1", "strength": {"log_uniform": [1e-4, 1e-1]}}
    for index in range(8)
}


def ladder(count: int, arm: str = "l1", **options: Any) -> list[Any]:
    return [
        make_fact(arm=arm, slot=step, nonzero=600 + 97 * step, val=0.95 + 0.0005 * step, **options)
        for step in range(count)
    ]


def overlay(facts: Any, sweep: Sweep, *, small: bool = False) -> dict[str, Any]:
    figure = plots.overlay_figure(fronts(facts, sweep), sweep, small=small)
    return dict(json.loads(figure.to_json()))


def test_the_axis_of_sizes_is_logarithmic_with_readable_labels() -> None:
    layout = overlay(ladder(40), make_sweep())["layout"]
    assert layout["xaxis"]["type"] == "log"
    assert layout["xaxis"]["ticktext"] == ["1k", "2k", "5k"]
    low, high = (10**end for end in layout["xaxis"]["range"])
    assert low < 600 < 600 + 97 * 39 < high


@pytest.mark.parametrize("span", [(90, 400), (500, 3000), (1000, 300_000), (1, 10_000_000)])
def test_ticks_lie_within_the_picture_and_are_never_too_many(span: tuple[int, int]) -> None:
    facts = [make_fact(slot=0, nonzero=span[0], val=0.9), make_fact(slot=1, nonzero=span[1])]
    view = front_view(fronts(facts, make_sweep()), make_sweep())
    ticks = view.ticks()
    assert 1 <= len(ticks) <= 10
    assert all(view.x_range[0] <= value <= view.x_range[1] for value, _ in ticks)


def test_large_counts_are_written_short() -> None:
    assert [short_count(n) for n in (200, 1000, 50_000, 2_000_000)] == ["200", "1k", "50k", "2M"]


def test_the_line_is_the_validation_staircase_and_markers_are_test_accuracies() -> None:
    facts = [
        make_fact(slot=0, nonzero=1000, val=0.96, test=0.955),
        make_fact(slot=1, nonzero=4000, val=0.98, test=0.983),
        make_fact(slot=2, nonzero=5000, val=0.97, test=0.99),
    ]
    data = overlay(facts, make_sweep())["data"]
    _, _, _, line, markers, _, *keys, published = data[:-2]
    assert line["line"]["shape"] == "hv"
    assert line["y"] == [96.0, 98.0, 98.0]  # the last step goes on to the edge
    assert line["x"][:2] == [1000, 4000]
    assert (markers["x"], markers["y"]) == ([1000, 4000], [95.5, 98.3])
    assert markers["mode"] == "markers"
    assert [(key["mode"], key["name"]) for key in keys] == [
        ("lines", "validation (selected on)"),
        ("markers", "test"),
    ]
    assert {key["line"]["color"] for key in keys[:1]} == {INK} == {keys[1]["marker"]["color"]}
    assert published["name"] == "published (weights only)"


def test_published_networks_stand_beside_those_of_the_same_network_and_data_alone() -> None:
    # Oracle: Liu et al. 2020, Table 1: 6,600 weights, 2.31 % error.
    facts = [make_fact(slot=0, nonzero=600, val=0.95), make_fact(slot=1, nonzero=40_000, val=0.99)]
    view = front_view(fronts(facts, make_sweep()), make_sweep())
    (found,) = [one for one in view.published if "Dynamic Sparse Training" in one.method]
    assert (found.nonzero, found.accuracy, found.year) == (6600, 97.69, 2020)
    assert "biases unknown" in found.label
    assert all(view.y_range[0] <= one.accuracy <= view.y_range[1] for one in view.published)
    assert curve_view(facts, make_sweep()).published == ()
    lenet_5 = {
        point.method for point in published_points(make_sweep(dataset="mnist", model="lenet-5"))
    }
    assert len(lenet_5) == 9
    assert "SNIP 98% (Lee et al.)" in lenet_5
    other = make_sweep(model="mlp(300, 100)")
    assert front_view(fronts(facts, other), other).published == ()


def test_with_repeats_the_line_is_what_half_of_them_attain_amid_a_band() -> None:
    sweep = make_sweep(search={"trials": 20, "repeats": 5})
    facts = make_facts(sweep)
    of = fronts_by_repeat(facts, sweep)
    view = front_view(fronts(facts, sweep), sweep, of)
    assert "half of 5 repeats attain, bands 25 to 75 %" in view.subtitle
    for series in view.series:
        low, half, high = (attainment(of[series.name], level) for level in (0.75, 0.5, 0.25))
        assert view.line_of(series)[:-1] == tuple(
            (size, round(100 * height, 3)) for size, height in half.corners
        )
        for size, below, above in series.band:
            assert below == round(100 * (low.at(size) or 0), 3)
            assert above == round(100 * (high.at(size) or 0), 3)
            assert below <= above
    figure = json.loads(plots.draw_view(view).to_json())
    filled = [trace for trace in figure["data"] if trace.get("fill") == "tonexty"]
    assert len(filled) == len(view.series)
    assert filled[0]["fillcolor"] == "rgba(0,114,178,0.15)"
    single = make_sweep(search={"trials": 20})
    some = [fact for fact in facts if fact.slot.repeat == 0]
    alone = front_view(fronts(some, single), single, fronts_by_repeat(some, single))
    assert not any(series.band for series in alone.series)


def test_hovering_tells_the_configuration_but_not_in_the_small_variant() -> None:
    facts, sweep = ladder(3, params={"strength": 0.00312}), make_sweep()
    large, small = overlay(facts, sweep), overlay(facts, sweep, small=True)
    assert "strength 0.00312" in json.dumps(large)
    assert "strength 0.00312" not in json.dumps(small)
    assert small["data"][4]["customdata"][2] == [95.1, 0, 2]  # validation, repeat, trial


def test_the_small_variant_for_eight_arms_stays_under_30_kilobytes() -> None:
    sweep = make_sweep(arms=EIGHT)
    facts = [fact for arm in EIGHT for fact in ladder(40, arm, sweep=sweep)]
    figure = plots.overlay_figure(fronts(facts, sweep), sweep, small=True)
    assert len(figure.to_json()) < 30_000
    assert len(json.dumps(json.loads(figure.to_json())["layout"]["template"])) < 100


def test_no_two_arms_look_alike() -> None:
    found = {arm: Front((), 0) for arm in EIGHT}
    series = front_view(found, make_sweep(arms=EIGHT)).series
    assert len({one.color for one in series}) == len({one.symbol for one in series}) == 8
    assert {one.dash for one in series} == {"solid"}


def test_of_more_than_eight_arms_the_best_are_coloured_and_the_others_share_an_entry() -> None:
    arms = {f"arm-{index}": {"penalty": "l1", "strength": 1} for index in range(20)}
    sweep = make_sweep(arms={**arms, "dense": {}})
    # Oracle: where each arm has one network of the same accuracy, the smaller is worth more.
    facts = [
        make_fact(sweep=sweep, arm=arm, nonzero=1000 * (7 * place % 23 + 1))
        for place, arm in enumerate(sweep.arms)
    ]
    smallest = sorted(arms, key=lambda arm: 7 * list(sweep.arms).index(arm) % 23)[:7]
    view = front_view(fronts(facts, sweep), sweep)
    assert {one.name for one in view.coloured} == {*smallest, "dense"}
    assert [one.name for one in view.coloured] == [
        a for a in sweep.arms if a in {*smallest, "dense"}
    ]
    assert view.series[0].grey  # drawn first, and so beneath
    data = json.loads(plots.draw_view(view).to_json())["data"]
    assert [trace["name"] for trace in data if trace.get("showlegend", True)] == [
        *(one.name for one in view.coloured),
        "13 other arms",
        "validation (selected on)",
        "test",
    ]
    hidden = [trace for trace in data if trace.get("legendgroup") == "13 other arms"]
    assert len(hidden) == 13 + 1
    assert all(trace["mode"] == "lines" for trace in hidden)


def test_a_picture_of_thirty_arms_stays_under_40_kilobytes() -> None:
    sweep = make_sweep(arms={f"arm-{n}": {"penalty": "l1", "strength": 1} for n in range(30)})
    facts = [fact for arm in sweep.arms for fact in ladder(40, arm, sweep=sweep)]
    figure = plots.overlay_figure(fronts(facts, sweep), sweep, small=True)
    assert len(figure.to_json()) < 40_000


def test_the_title_says_which_track_and_which_split() -> None:
    sweep = make_sweep(sparsification={"track": "as_trained"})
    assert front_view(fronts([], sweep), sweep).title == (
        "toy: as-trained track, chosen on validation, test beside"
    )
    chosen_on_test = make_sweep(select_on="test")
    assert "chosen on TEST accuracy" in front_view(fronts([], chosen_on_test), chosen_on_test).title


def test_one_collapsed_network_does_not_squash_the_picture() -> None:
    facts = [*ladder(40), make_fact(slot=99, nonzero=300, val=0.2)]
    view = front_view(fronts(facts, make_sweep()), make_sweep())
    assert 89 < view.y_range[0] < 95
    assert view.hidden == 1
    assert "1 of 41 lie below the picture" in view.subtitle


def test_arms_that_are_all_far_below_the_targets_are_shown() -> None:
    facts = [make_fact(slot=step, nonzero=500 + step, val=0.60 + 0.01 * step) for step in range(8)]
    view = front_view(fronts(facts, make_sweep()), make_sweep())
    assert view.y_range[0] < 63
    assert view.y_range[1] > 67


def test_a_sweep_without_trials_gives_a_figure_that_says_so() -> None:
    layout = overlay([], make_sweep())["layout"]
    assert layout["annotations"][0]["text"] == "no complete trial yet"


def test_density_curves_choose_on_validation_at_each_density() -> None:
    curves = [
        (CurvePoint(0.01, 3000, 0.90, 0.99), CurvePoint(0.1, 27_000, 0.98, 0.97)),
        (CurvePoint(0.01, 3010, 0.91, 0.90), CurvePoint(0.1, 27_010, 0.97, 0.99)),
    ]
    facts = [make_fact(slot=slot, curve=curve) for slot, curve in enumerate(curves)]
    facts.append(make_fact(slot=2, state="collapsed", curve=[CurvePoint(0.01, 1, 1.0, 1.0)]))
    _, series = curve_view(facts, make_sweep()).series
    assert [(dot.nonzero, dot.selected_accuracy, dot.other_accuracy) for dot in series.dots] == [
        (3010, 91.0, 90.0),
        (27_000, 98.0, 97.0),
    ]


def test_a_caption_says_on_how_many_examples_points_were_judged() -> None:
    whole, part = CurvePoint(0.01, 3000, 0.9, 0.9), CurvePoint(0.1, 9000, 0.9, 0.9, 1497, 1200)
    captions = [
        curve_view([make_fact(curve=points)], make_sweep()).subtitle
        for points in ([whole], [whole, part])
    ]
    assert "judged on" not in captions[0]
    assert captions[1].startswith(captions[0])
    text = " · points judged on 1,497 validation and 1,200 test examples, evenly spaced"
    assert captions[1].removeprefix(captions[0]) == text


def test_finetuned_curves_are_a_view_of_their_own() -> None:
    plain, tuned = CurvePoint(0.01, 3000, 0.90, 0.91), CurvePoint(0.02, 6000, 0.95, 0.94)
    facts = [make_fact(curve=[plain], finetuned=[tuned])]
    seen = {}
    for finetuned in (False, True):
        view = curve_view(facts, make_sweep(), finetuned=finetuned)
        seen[view.title] = [dot.nonzero for one in view.series for dot in one.dots]
    assert list(seen.values()) == [[3000], [6000]]
    assert all("pruned" in title for title in seen)


def save(path: Path) -> None:
    plots.save_image(*plots.standalone_picture(front_view({}, make_sweep())), path)


def test_without_a_browser_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from choreographer.browsers.chromium import Chromium

    monkeypatch.setattr(Chromium, "find_browser", lambda **_: None)
    words = r"^images other than SVG need a browser: install Chrom.*$"
    with pytest.raises(InputError, match=words):
        save(tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_a_browser_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import choreographer

    def fail(*_: object, **__: object) -> bytes:
        raise RuntimeError("it went\naway")

    monkeypatch.setattr(choreographer, "Browser", fail)
    with pytest.raises(SweeperError, match=r"^the browser could not draw the picture: it went$"):
        save(tmp_path / "a.png")


def test_another_ending_of_an_image_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.pgn: not a kind of image: .*did you mean 'png'"):
        save(tmp_path / "a.pgn")


def test_accuracies_are_percentages_and_sizes_span_the_facts() -> None:
    view = front_view(fronts(ladder(5), make_sweep()), make_sweep())
    assert view.x_range[0] < 600
    assert math.isclose(view.series[1].dots[0].selected_accuracy, 95.0)


def effective(record: TrialRecord, count: int | None) -> TrialRecord:
    """Return a record of which so many parameters reach the output."""
    assert record.result.pruned is not None
    pruned = replace(record.result.pruned, effective=count)
    return replace(record, result=replace(record.result, pruned=pruned))


def test_fronts_of_effective_parameters_are_counted_and_named_as_such() -> None:
    sweep = make_sweep()
    # Nonzero and effective parameters disagree on which network is the smaller one.
    records = [
        effective(make_fact(slot=0, nonzero=1000, val=0.95), 900),
        effective(make_fact(slot=1, nonzero=2000, val=0.97), 800),
    ]
    front = fronts(records, sweep, size="effective")["l1"]
    assert [(point.nonzero, point.effective) for point in front.points] == [(2000, 800)]
    view = front_view({"l1": front}, sweep, link=lambda name, place: f"/{name}/{place[2]}")
    assert (view.x_name, view.published) == ("effective parameters", ())
    figure = json.loads(plots.draw_view(view).to_json())
    (markers,) = (
        trace for trace in figure["data"] if trace["mode"] == "markers" and "customdata" in trace
    )
    assert markers["x"] == [800]
    assert "%{customdata[4]} nonzero, %{x:,} effective" in markers["hovertemplate"]
    assert markers["customdata"][0][4:] == ["2,000", f"/toy/{front.points[0].slot}"]
    assert figure["layout"]["xaxis"]["title"]["text"] == "effective parameters"


def test_a_network_that_is_not_counted_has_a_dash_and_no_place_among_those_that_are() -> None:
    records = [
        effective(make_fact(slot=0, nonzero=1000, val=0.95), 900),
        effective(make_fact(slot=1, nonzero=2000, val=0.97), None),
    ]
    front = fronts(records, make_sweep(), size="effective")["l1"]
    assert ([point.effective for point in front.points], front.candidates) == ([900], 1)
    of_all = fronts(records, make_sweep())
    assert [point.effective for point in of_all["l1"].points] == [900, None]
    assert "<td>-</td>" in of_all["l1"]._repr_html_()
    table = fronts_to_pandas(of_all, plain=True).to_csv(index=False).splitlines()
    place = table[0].split(",").index("effective")
    assert [line.split(",")[place] for line in table[1:]] == ["900", ""]
    figure = json.loads(plots.draw_view(front_view(of_all, make_sweep())).to_json())
    marks = [trace for trace in figure["data"] if "customdata" in trace and "meta" not in trace]
    assert [data[4] for trace in marks for data in trace["customdata"]] == ["900", "-"]


def test_a_page_knows_each_colour_of_a_figure_that_is_not_an_arms() -> None:
    arms = {f"arm-{n}": {"penalty": "l1", "strength": 1} for n in range(20)}
    sweep = make_sweep(arms=arms, search={"trials": 20, "repeats": 2})
    facts = make_facts(sweep)
    view = front_view(fronts(facts, sweep), sweep, fronts_by_repeat(facts, sweep))
    figure = plots.draw_view(view).to_json()
    colors = set(re.findall(r'"(#[0-9A-Fa-f]{6})"', figure))
    theme = json.loads(figure)["layout"]["meta"]
    assert colors - {*COLORS, *MORE_COLORS} <= theme.keys() == {*THEME}
    css = plots.page_asset("theme.css")
    light, _, dark = css.partition("@media")
    for name in theme.values():
        assert f"{name}: " in light
        assert f"{name}: " in dark
    assert "meta" not in json.loads(plots.draw_view(view, small=True).to_json())["layout"]

"""Views of learning curves: whose they are, what is drawn of them, and where a pack was pruned."""

import json

import pytest

from support.factories import make_fact, make_learning, make_record, make_sweep
from support.script_records import flops_sweep, script_records
from sweeper.config import Sweep
from sweeper.plots import View, draw_view, front_curves, trial_curves
from sweeper.plots.learning_view import CUT, MOST, quantities, whole_curves
from sweeper.plots.svg import draw_svg
from sweeper.types import LearningPoint, TrialRecord


def pack_study() -> tuple[Sweep, list[TrialRecord]]:
    """Return two arms with three networks each, the largest of which another one beats."""
    sweep = make_sweep(
        search={"trials": 3},
        training={"epochs": 2, "learning_rate": 0.1},
        sparsification={"density": {"log_uniform": [0.002, 0.2]}, "finetune_epochs": 1},
    )
    records = [
        make_fact(
            sweep=sweep,
            arm=arm,
            slot=slot,
            nonzero=1000 * (slot + 1),
            val=val,
            learning=make_learning(0.5, 0.9, val),
        )
        for arm in sweep.arms
        for slot, val in enumerate((0.95, 0.97, 0.96))
    ]
    return sweep, records


def curves_of(record: TrialRecord, sweep: Sweep) -> tuple[View, ...]:
    return trial_curves(
        {"": record.result.learning}, sweep, record.slot.arm, record.config.recipe, [*sweep.arms]
    )


def test_the_curves_are_those_of_the_networks_on_the_fronts_each_with_its_trial() -> None:
    sweep, records = pack_study()
    fronts = make_record(sweep, records).fronts()
    view = front_curves(records, fronts, sweep, link=lambda name, place: f"{name}{place}")
    assert view is not None
    assert view.y_name == "validation accuracy (%)"
    assert [look.name for look in view.series] == [*sweep.arms]
    for look in view.series:
        drawn = [stroke.points for stroke in look.strokes]
        assert drawn == [
            ((1.0, 50.0), (2.0, 90.0), (3.0, 95.0)),
            ((1.0, 50.0), (2.0, 90.0), (3.0, 97.0)),
        ]
        assert look.strokes[1].link == f"{sweep.name}{(look.name, 0, 1)}"
    assert (view.cut, view.cut_name) == (2.0, CUT)
    assert view.x_range[0] == 0.0 <= view.y_range[0] < view.y_range[1]


def test_one_trace_of_an_arm_has_gaps_between_its_networks_and_one_entry_of_the_legend() -> None:
    sweep, records = pack_study()
    view = front_curves(records, make_record(sweep, records).fronts(), sweep)
    assert view is not None
    figure = json.loads(draw_view(view).to_json())
    arms = [trace for trace in figure["data"] if trace["name"] in sweep.arms]
    ends = [trace for trace in arms if trace["mode"] == "markers"]
    assert [(end["x"], end["showlegend"]) for end in ends] == [([3.0, 3.0], False)] * 2
    assert len({end["marker"]["symbol"] for end in ends}) == 2
    arms = [trace for trace in arms if trace not in ends]
    assert [trace["x"] for trace in arms] == [[1.0, 2.0, 3.0, None, 1.0, 2.0, 3.0, None]] * 2
    shown = [trace for trace in figure["data"] if trace not in ends]
    assert [trace["name"] for trace in shown] == [*sweep.arms, CUT]
    assert len({trace["line"]["color"] for trace in arms}) == 2
    sketch = draw_svg(view, "x")
    assert sketch.count("M") >= 4
    assert CUT in sketch
    assert sketch.count('class="mark"') == 4 + 2  # the ends of all lines, and the legend


def test_there_is_no_figure_without_any_curve() -> None:
    sweep = make_sweep(search={"trials": 1})
    records = [make_fact(sweep=sweep, arm="l1")]
    assert front_curves(records, make_record(sweep, records).fronts(), sweep) is None
    assert curves_of(records[0], sweep) == ()


def test_of_very_many_networks_every_arm_shows_as_many_evenly_spaced() -> None:
    sweep = make_sweep(search={"trials": 60})
    records = [
        make_fact(
            sweep=sweep,
            arm=arm,
            slot=slot,
            nonzero=1000 + slot,
            val=0.9 + slot / 1000,
            learning=make_learning(0.5, 0.9),
        )
        for arm in sweep.arms
        for slot in range(60)
    ]
    view = front_curves(records, make_record(sweep, records).fronts(), sweep)
    assert view is not None
    counts = [len(look.strokes) for look in view.series]
    assert counts == [MOST // 2] * 2
    assert f"{MOST} of 120, evenly spaced in size" in view.subtitle


def test_a_script_shows_its_quality_in_percent_and_other_numbers_as_they_are() -> None:
    sweep = flops_sweep()
    records = script_records(sweep)
    view = front_curves(records, make_record(sweep, records).fronts(), sweep)
    assert view is not None
    assert (view.y_name, view.cut) == ("validation F1 (%)", None)
    assert "examples" not in view.subtitle
    complete = next(record for record in records if record.result.state == "complete")
    f1, loss = curves_of(complete, sweep)
    assert (f1.y_name, loss.y_name) == ("validation F1 (%)", "loss")
    (stroke,) = loss.series[0].strokes
    assert stroke.points[0] == (1.0, dict(complete.result.learning[0].values)["loss"])
    assert loss.y_range[0] <= min(y for _, y in stroke.points) < loss.y_range[1]


def test_a_diverged_trial_shows_how_it_came_to_that() -> None:
    sweep = flops_sweep()
    lost = next(record for record in script_records(sweep) if record.result.state == "diverged")
    assert len(curves_of(lost, sweep)) == 2


@pytest.mark.parametrize("value", [97.0, -1.0])
def test_what_is_no_share_under_a_measures_name_is_shown_as_it_is(value: float) -> None:
    curve = (LearningPoint(1.0, (("val_f1", value),)),)
    (quantity,) = quantities(flops_sweep(), [curve])
    assert (quantity.label, quantity.is_quality) == ("validation F1", False)
    assert quantity.of(curve) == ((1.0, value),)


def test_text_of_a_script_cannot_become_markup() -> None:
    sweep = flops_sweep(objectives={"size": "<b>size</b>", "quality": "F1"}, targets={
        "f1": [0.9], "b_size_b": [100],
    })  # fmt: skip
    records = script_records(sweep)
    view = front_curves(records, make_record(sweep, records).fronts(), sweep)
    assert view is not None
    assert "<b>size" not in draw_svg(view, "x")


def test_networks_of_a_ladder_have_the_curve_of_their_training_before_their_own() -> None:
    sweep = make_sweep(search={"trials": 1, "seeds": 2}, sparsification={"densities": [0.2, 0.1]})

    def points(*epochs: float, seed: int) -> tuple[LearningPoint, ...]:
        return tuple(LearningPoint(epoch, (("loss", 10 * seed + epoch),)) for epoch in epochs)

    # The second network of the second seed left its training after its first epoch.
    learning = [(1, 2, 3), (3,), (1, 2, 3), (2, 3)]
    records = [
        make_fact(sweep=sweep, network=n, learning=points(*epochs, seed=n // 2))
        for n, epochs in enumerate(learning)
    ]
    whole = [record.result.learning for record in whole_curves(records)]
    assert whole == [points(1, 2, 3, seed=n // 2) for n in range(4)]
    fronts = make_record(sweep, records).fronts()
    view = front_curves(records, fronts, sweep)
    assert view is not None
    labels = [stroke.label for look in view.series for stroke in look.strokes]
    assert labels == ["repeat 0, trial 0: strength 0.003, density 0.2"]

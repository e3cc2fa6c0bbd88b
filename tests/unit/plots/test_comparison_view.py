"""View of several sweeps: whose line is whose, and what it says about their questions."""

from support.factories import make_fact, make_facts, make_sweep
from sweeper.analysis import Front, attainment, fronts, fronts_by_repeat
from sweeper.config import Sweep
from sweeper.plots import comparison_view, standalone_svg
from sweeper.plots.arm_styles import series_of, series_of_sweeps
from sweeper.plots.views import Series


def of_both(*sweeps: Sweep) -> tuple[dict[str, Front], dict[str, tuple[Front, ...]]]:
    """Return the fronts of all arms, pooled and by repeat."""
    pooled: dict[str, Front] = {}
    apart: dict[str, tuple[Front, ...]] = {}
    for number, sweep in enumerate(sweeps):
        facts = make_facts(sweep, seed=number)
        pooled |= {f"{sweep.name}/{arm}": front for arm, front in fronts(facts, sweep).items()}
        repeats = fronts_by_repeat(facts, sweep)
        apart |= {f"{sweep.name}/{arm}": several for arm, several in repeats.items()}
    return pooled, apart


def looks_of(*sweeps: Sweep) -> dict[str, Series]:
    names = [f"{sweep.name}/{arm}" for sweep in sweeps for arm in sweep.arms]
    return series_of_sweeps(names, names, sweeps)


def test_no_two_arms_of_any_sweep_look_alike() -> None:
    for many_sweeps, many_arms in ((1, 14), (2, 14), (4, 10), (8, 14)):
        arms = {f"a{number}": {"penalty": "l1", "strength": 1} for number in range(many_arms)}
        sweeps = [make_sweep(f"s{number}", arms=arms) for number in range(many_sweeps)]
        looks = looks_of(*sweeps).values()
        pairs = {(look.color, look.symbol, look.dash, look.filling) for look in looks}
        assert len(pairs) == many_sweeps * many_arms
        # Markers alone tell arms and up to four sweeps apart too.
        markers = {(look.color, look.symbol, look.filling) for look in looks}
        assert len(markers) == min(many_sweeps, 4) * many_arms


def test_an_arm_has_its_colour_and_marker_in_every_sweep_and_a_sweep_its_dashes_and_filling() -> (
    None
):
    looks = looks_of(make_sweep("a"), make_sweep("b"))
    first, second = looks["a/l1"], looks["b/l1"]
    assert (first.color, first.symbol) == (second.color, second.symbol)
    assert (first.dash, first.filling) == ("solid", "filled") != (second.dash, second.filling)
    assert looks["b/none"].dash == second.dash
    alone = series_of(["none", "l1"], ["none", "l1"], ["none", "l1"])["l1"]
    assert (alone.color, alone.symbol) == (first.color, first.symbol)


def test_another_arm_at_the_same_place_of_another_sweep_is_not_taken_for_the_first_ones() -> None:
    penalty = {"penalty": "l1", "strength": 1}
    one = make_sweep("a", arms={"dense": {}, "l1": penalty})
    two = make_sweep("b", arms={"dense": {}, "l2": penalty, "l3": penalty})
    looks = looks_of(one, two)
    assert looks["a/dense"].color == looks["b/dense"].color
    assert len({looks[name].color for name in ("a/dense", "a/l1", "b/l2", "b/l3")}) == 4
    file = [*two.arms]
    assert looks["b/l3"].color == series_of(file, file, file)["l3"].color  # nobody else's place


def test_lines_are_what_the_repeats_of_each_sweep_attain() -> None:
    sweeps = (make_sweep("a", search={"trials": 8, "repeats": 3}), make_sweep("b"))
    pooled, apart = of_both(*sweeps)
    view = comparison_view(pooled, sweeps, apart)
    by_name = {series.name: series for series in view.series}
    assert list(by_name) == ["a/none", "a/l1", "b/none", "b/l1"]
    half = attainment(apart["a/l1"], 0.5)
    assert view.line_of(by_name["a/l1"])[:-1] == tuple(
        (size, round(100 * height, 3)) for size, height in half.corners
    )
    assert by_name["a/l1"].band
    assert not by_name["b/l1"].band  # a single repeat shows no luck
    assert [dot.nonzero for dot in by_name["b/l1"].dots] == [p.nonzero for p in pooled["b/l1"]]
    assert "half of an arm's repeats attain" in view.subtitle


def test_what_is_unequal_stands_in_the_picture() -> None:
    sweeps = (make_sweep("a"), make_sweep("b"))
    pooled, apart = of_both(*sweeps)
    keys = ["training.epochs", "model.name", "search.trials", "split.seed", "training.schedule"]
    view = comparison_view(pooled, sweeps, apart, keys)
    words = "not ranked, since they differ in training.epochs, model.name, search.trials and 2 more"
    assert words in view.subtitle
    assert words in standalone_svg(view)
    assert "ranked" not in comparison_view(pooled, sweeps, apart).subtitle


def test_long_names_of_sweeps_leave_the_title_and_stand_in_the_legend() -> None:
    sweeps = tuple(make_sweep(f"a-name-of-thirty-letters-{n:05}") for n in range(2))
    pooled, apart = of_both(*sweeps)
    view = comparison_view(pooled, sweeps, apart)
    assert view.title == "2 sweeps: pruned track, chosen on validation, test beside"
    picture = standalone_svg(view)
    assert all(f">{sweep.name}/l1<" in picture for sweep in sweeps)


def test_published_networks_stand_beside_sweeps_of_their_network_alone() -> None:
    same, other = (make_sweep("a"), make_sweep("b")), make_sweep("c", model="mlp(30)")
    dots = [make_fact(sweep=same[0], nonzero=1000, val=0.9), make_fact(slot=1, nonzero=90_000)]
    front = Front.of(dots)
    alike = comparison_view({"a/l1": front, "b/l1": front}, same, {})
    assert alike.published
    assert not comparison_view({"a/l1": front, "c/l1": front}, (same[0], other), {}).published

"""Names at published networks: none on another, none on a marker, all within the picture."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from support.factories import make_fact, make_sweep
from sweeper.analysis import fronts
from sweeper.plots import draw_view, front_view
from sweeper.plots.published_labels import Box, Label, place_labels
from sweeper.plots.published_points import BIASES, published_points
from sweeper.plots.text_width import text_width

FRAME = Box(0, 0, 600, 300)
SIZE = 10.0
POINTS = st.tuples(st.floats(5, 595), st.floats(5, 295))


def box(label: Label) -> Box:
    width = text_width(label.text, SIZE)
    left = label.x - {"start": 0, "middle": width / 2, "end": width}[label.anchor]
    return Box(left, label.y - 0.8 * SIZE, left + width, label.y + 0.1 * SIZE)


@given(markers=st.lists(POINTS, max_size=14, unique=True), crowd=st.lists(POINTS, max_size=30))
def test_no_two_names_meet(
    markers: list[tuple[float, float]], crowd: list[tuple[float, float]]
) -> None:
    texts = [f"Author {2000 + place}" for place in range(len(markers))]
    labels = place_labels(markers, texts, crowd, FRAME, SIZE)
    assert all(FRAME.contains(box(label)) for label in labels)
    boxes = [box(label) for label in labels]
    assert not any(one.meets(other) for one, other in itertools.combinations(boxes, 2))
    assert not any(one.has(marker) for one in boxes for marker in markers)
    if len(markers) <= 6:
        assert {label.text for label in labels} == {*texts}


def test_a_name_stands_beside_its_marker_where_nothing_is_in_the_way() -> None:
    [label] = place_labels([(300, 150)], ["Han 2015"], [], FRAME, SIZE)
    assert (label.anchor, label.leader) == ("start", None)
    [label] = place_labels([(300, 150)], ["Han 2015"], [(330, 150), (340, 150)], FRAME, SIZE)
    assert label.anchor == "end"


def test_every_published_network_has_a_short_name_and_says_what_it_counts() -> None:
    for model in ("lenet-300-100", "lenet-5"):
        points = published_points(make_sweep(model=model))
        assert len(points) > 10
        for point in points:
            assert point.biases in BIASES
            assert point.short_name.endswith(str(point.year))
            # The table's own words are the oracle.
            author = point.first_author
            assert f"({author}" in point.method or (author, point.method[:11]) == (
                "unknown",
                "MobilePrune",
            )


def test_the_legend_tells_apart_who_counts_biases() -> None:
    facts = [make_fact(slot=0, nonzero=600, val=0.95), make_fact(slot=1, nonzero=40_000, val=0.99)]
    sweep = make_sweep()
    traces = draw_view(front_view(fronts(facts, sweep), sweep)).to_plotly_json()["data"]
    published = {trace["name"]: trace for trace in traces if trace.get("meta") == "published"}
    assert set(published) == {f"published ({counted})" for counted in BIASES.values()}
    assert len({trace["marker"]["symbol"] for trace in published.values()}) == 3
    assert all(trace["marker"]["symbol"].endswith("-open") for trace in published.values())
    [vib] = [text for text in published["published (with biases)"]["customdata"] if "VIB" in text]
    assert "with biases" in vib

"""Learning curves of scripts, over attempts and within bounds."""

from itertools import pairwise
from pathlib import Path

from sweeper.trainers.learning_curve import LearningCurve


def test_the_next_attempt_goes_on_with_the_points_before(tmp_path: Path) -> None:
    file = tmp_path / "learning.jsonl"
    curve = LearningCurve(file)
    for epoch in (1, 2, 3, 4):
        curve.add(epoch, {"loss": 1 / epoch})
    with file.open("a") as text:
        text.write('[5, {"lo')  # it was killed in the middle of it
    again = LearningCurve(file)
    assert again.points == curve.points
    again.add(3, {"loss": 9.0})  # its last checkpoint was before that
    assert [point.epoch for point in again.points] == [1, 2, 3]
    assert again.points[-1].values == (("loss", 9.0),)


def test_of_too_many_points_some_are_kept_and_always_the_last() -> None:
    curve = LearningCurve()
    for epoch in range(1301):
        curve.add(epoch, {"loss": 1.0})
    epochs = [point.epoch for point in curve.points]
    assert 250 <= len(epochs) <= 500
    assert epochs[-1] == 1300
    assert {after - before for before, after in pairwise(epochs)} == {4}


def test_names_are_cut_and_so_are_too_many_of_them() -> None:
    curve = LearningCurve()
    curve.add(1, {f"{number:03}{'n' * 100}": 1.0 for number in range(100)})
    (point,) = curve.points
    assert len(point.values) == 64
    assert {len(name) for name, _ in point.values} == {64}

"""A trial as a function has it, without any service."""

from pathlib import Path

import pytest
import torch
from torch import nn

import sweeper
from sweeper.errors import InputError
from sweeper.trainers import trial as trial_module
from sweeper.types import PenaltyConfig


def test_its_values_cannot_be_changed() -> None:
    trial = sweeper.Trial({"rate": 0.1})
    with pytest.raises(TypeError):
        trial.params["rate"] = 0.2  # type: ignore[index]


def test_a_step_ends_a_training_once_there_is_a_reason() -> None:
    trial = sweeper.Trial()
    trial.step(0.25)
    assert trial.share == 0.25
    trial.ending = "the worker leaves"
    with pytest.raises(sweeper.TrialEnded, match="the worker leaves"):
        trial.step()
    with pytest.raises(sweeper.TrialEnded):
        trial.report(1, loss=0.5)
    assert not issubclass(sweeper.TrialEnded, Exception)


def test_a_step_after_a_while_looks_whether_the_trial_is_still_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reasons: list[str] = ["", "a later attempt has begun"]
    trial = sweeper.Trial(look=lambda: reasons.pop(0))
    trial.step()  # too soon to look
    assert len(reasons) == 2
    monkeypatch.setattr(trial_module, "LOOK_SECONDS", -1.0)
    trial.step()
    with pytest.raises(sweeper.TrialEnded, match="a later attempt has begun"):
        trial.step()


def test_a_checkpoint_is_kept_only_while_the_trial_is_its_own() -> None:
    kept: list[str] = []
    reasons = ["", "a later attempt has begun"]
    trial = sweeper.Trial(keep=lambda: kept.append("kept"), look=lambda: reasons.pop(0))
    trial.checkpoint()
    with pytest.raises(sweeper.TrialEnded):
        trial.checkpoint()
    assert kept == ["kept"]


def test_reports_are_points_in_the_order_of_epochs() -> None:
    trial = sweeper.Trial()
    trial.report(1, val_accuracy=0.5, loss=2)
    trial.report(2, val_accuracy=torch.tensor(0.75), loss=float("nan"))
    assert [(point.epoch, point.values) for point in trial.curve.points] == [
        (1.0, (("loss", 2.0), ("val_accuracy", 0.5))),
        (2.0, (("val_accuracy", 0.75),)),
    ]


def test_what_is_no_number_is_one_line() -> None:
    with pytest.raises(InputError, match=r"^trial.report: loss: must be a number, got 'high'$"):
        sweeper.Trial().report(1, loss="high")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^trial.report: epoch: must be finite, got inf$"):
        sweeper.Trial().report(float("inf"), loss=1)


def test_its_penalty_is_that_of_the_arm() -> None:
    model = nn.Linear(2, 1, bias=False)
    nn.init.constant_(model.weight, 0.25)
    trial = sweeper.Trial(terms=[PenaltyConfig("l1", "loss", 2.0)])
    assert trial.penalty(model).loss().item() == 1.0
    assert sweeper.Trial().penalty(model).loss().item() == 0.0


def test_a_folder_of_data_is_only_asked_of_who_needs_it(tmp_path: Path) -> None:
    assert sweeper.Trial(data=tmp_path).data == tmp_path
    with pytest.raises(InputError, match="SWEEPER_DATA"):
        _ = sweeper.Trial().data

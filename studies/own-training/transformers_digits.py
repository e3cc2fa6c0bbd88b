"""Handwritten digits with Hugging Face's Trainer: a callback ties its loop to a trial."""

from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from sweeper import Trial, count, prune_


class TrialCallback(TrainerCallback):
    """A trial in the Trainer's loop: heartbeat, learning curve, checkpoints, penalty."""

    def __init__(self, trial: Trial, resume_from: str | None = None) -> None:
        self.trial, self.resume_from = trial, resume_from

    def on_train_begin(self, args: Any, state: Any, control: Any, **parts: Any) -> None:
        self.penalty = self.trial.penalty(parts["model"], steps=state.max_steps)
        if self.resume_from:
            self.penalty.load_state_dict(torch.load(Path(self.resume_from) / "penalty.pt"))

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        loss = self.penalty.loss()  # 0 unless the penalty acts by its gradient
        if loss.requires_grad:
            loss.backward()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **parts: Any) -> None:
        self.penalty.step(parts["optimizer"])

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trial.step(state.global_step / state.max_steps)

    def on_evaluate(self, args: Any, state: Any, control: Any, **parts: Any) -> None:
        names = {"eval_accuracy": "val_accuracy", "eval_loss": "loss"}
        values = {names[key]: value for key, value in parts["metrics"].items() if key in names}
        self.trial.report(round(state.epoch, 6), **values)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        folder = self.trial.folder / f"checkpoint-{state.global_step}"
        torch.save(self.penalty.state_dict(), folder / "penalty.pt")
        self.trial.checkpoint()


class Digits(nn.Module):
    """A network as the Trainer wants it: labels in, loss out."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, pixels: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.network(pixels)
        return {"loss": cross_entropy(logits, labels), "logits": logits}


def train(trial: Trial) -> dict[str, object]:
    """Train one network; return its size and its accuracies."""
    pixels, labels = map(torch.tensor, load_digits(return_X_y=True))
    pixels = pixels.float() / 16
    examples = [{"pixels": row, "labels": label} for row, label in zip(pixels, labels, strict=True)]
    torch.manual_seed(trial.seed)
    model = Digits()
    last = get_last_checkpoint(trial.folder)
    trainer = Trainer(
        model,
        TrainingArguments(
            trial.folder,
            use_cpu=trial.device == "cpu",
            data_seed=trial.order_seed,
            seed=trial.seed,
            learning_rate=float(trial.params["learning_rate"]),
            num_train_epochs=int(trial.params["epochs"]),
            per_device_train_batch_size=50,
            per_device_eval_batch_size=400,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=2,
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=examples[:1000],
        eval_dataset=examples[1000:1400],
        compute_metrics=lambda judged: {
            "accuracy": (judged.predictions.argmax(1) == judged.label_ids).mean()
        },
        callbacks=[TrialCallback(trial, last)],
    )
    trainer.train(resume_from_checkpoint=last)
    prune_(model, float(trial.params["density"]))
    right = (model.network(pixels).argmax(1) == labels).double()
    return {
        "size": count(model),
        "validation": right[1000:1400].mean(),
        "test": right[1400:].mean(),
    }

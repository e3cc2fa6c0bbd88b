"""Handwritten digits with Lightning: a callback ties its loop to a trial."""

from collections.abc import Iterator
from typing import Any

import lightning
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Sampler, Subset, TensorDataset

from sweeper import Trial, count, prune_


class TrialCallback(lightning.Callback):
    """A trial in Lightning's loop: heartbeat, learning curve, checkpoints, penalty."""

    def __init__(self, trial: Trial) -> None:
        self.trial, self.file = trial, trial.folder / "last.ckpt"
        self._restored: dict[str, Any] = {}

    @property
    def resume_from(self) -> str | None:
        """What `fit(ckpt_path=...)` takes: the checkpoint of an earlier attempt."""
        return str(self.file) if self.file.exists() else None

    def state_dict(self) -> dict[str, Any]:
        return self.penalty.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._restored = state_dict

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.steps = int(trainer.estimated_stepping_batches)
        self.penalty = penalty = self.trial.penalty(module, steps=self.steps)
        if self._restored:
            penalty.load_state_dict(self._restored)
        for optimizer in trainer.optimizers:
            optimizer.register_step_post_hook(lambda optimizer, *_: penalty.step(optimizer))

    def on_before_optimizer_step(self, *_: Any) -> None:
        loss = self.penalty.loss()  # 0 unless the penalty acts by its gradient
        if loss.requires_grad:
            loss.backward()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self.trial.step(trainer.global_step / self.steps)

    def on_train_epoch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        values = {name: value.item() for name, value in trainer.callback_metrics.items()}
        self.trial.report(trainer.current_epoch + 1, **values)
        trainer.save_checkpoint(self.file, weights_only=False)
        self.trial.checkpoint()


class Digits(lightning.LightningModule):
    """A network and how it is trained, as in any Lightning project."""

    def __init__(self, learning_rate: float) -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        pixels, labels = batch
        loss = cross_entropy(self.network(pixels), labels)
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
        pixels, labels = batch
        right = self.network(pixels).argmax(1) == labels
        self.log("val_accuracy", right.double().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), self.learning_rate, momentum=0.9)


class Order(Sampler[int]):
    """Order of the examples, another one in each epoch: the same whatever attempt trains it."""

    def __init__(self, seed: int, examples: int) -> None:
        self.seed, self.examples, self.epoch = seed, examples, 0

    def set_epoch(self, epoch: int) -> None:  # Lightning calls it
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        draw = torch.Generator().manual_seed(self.seed + self.epoch)
        return iter(torch.randperm(self.examples, generator=draw).tolist())

    def __len__(self) -> int:
        return self.examples


def train(trial: Trial) -> dict[str, object]:
    """Train one network; return its size and its accuracies."""
    pixels, labels = map(torch.tensor, load_digits(return_X_y=True))
    data = TensorDataset(pixels.float() / 16, labels)
    batches = DataLoader(data, 50, sampler=Order(trial.order_seed, 1000))
    held_out = DataLoader(Subset(data, range(1000, 1400)), 400)
    lightning.seed_everything(trial.seed, verbose=False)
    module, callback = Digits(float(trial.params["learning_rate"])), TrialCallback(trial)
    trainer = lightning.Trainer(
        accelerator="cpu" if trial.device == "cpu" else "gpu",
        max_epochs=int(trial.params["epochs"]),
        callbacks=[callback],
        default_root_dir=trial.folder,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        logger=False,
    )
    trainer.fit(module, batches, held_out, ckpt_path=callback.resume_from)
    prune_(module, float(trial.params["density"]))
    right = (module.network(pixels.float() / 16).argmax(1) == labels).double()
    return {
        "size": count(module),
        "validation": right[1000:1400].mean(),
        "test": right[1400:].mean(),
    }

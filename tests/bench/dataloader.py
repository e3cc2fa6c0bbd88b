"""The pattern of Optuna's PyTorch example: a DataLoader over torchvision's MNIST, trial by trial.

Written anew in its manner: `Normalize` after `ToTensor`, `nn.Sequential`, `torch.optim`, an
objective that builds, trains and evaluates. The split and the trials are those of all contestants.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from handwritten import magnitude_masks, weights_of
from sweeper import settings
from sweeper.config import registry
from sweeper.training.raw_dataset import RawDataset
from sweeper.training.stratified_split import stratified_split
from task import Accuracy, Task, Trial

if TYPE_CHECKING:
    import optuna

STUDY = "example"
RANGES = {"learning_rate": (1e-3, 1.0), "strength": (1e-7, 1.0), "density": (1e-4, 1.0)}


def prepare(task: Task) -> None:
    """Create the study with the trials that are to be run."""
    import optuna

    with _quiet():
        study = optuna.create_study(
            study_name=STUDY, storage=task.storage, directions=["minimize", "maximize"]
        )
        for slot, config in enumerate(task.configs):
            point = {
                "learning_rate": config.learning_rate,
                "strength": config.method.strength,
                "density": config.density,
            }
            study.enqueue_trial(point, user_attrs={"slot": slot})


def run(task: Task, process: int) -> None:
    """Run this process's share of the trials."""
    import optuna

    loaders = Loaders.of(task)

    def objective(trial: "optuna.Trial") -> tuple[float, float]:
        began = time.time()
        values = {key: trial.suggest_float(key, *RANGES[key], log=True) for key in RANGES}
        slot = trial.user_attrs["slot"]
        config = task.configs[slot]
        torch.manual_seed(config.init_seed)
        model = _network(loaders)
        first, last = config.recipe.epochs, config.recipe.finetune_epochs
        rate, strength = values["learning_rate"], values["strength"]
        _train(model, loaders.train, first, rate, config.momentum, strength=strength)
        as_trained = _judge(model, loaders)
        masks = magnitude_masks(weights_of(model), values["density"])
        _mask(model, masks)
        rate *= config.finetune_learning_rate_factor
        _train(model, loaders.train, last, rate, config.momentum, masks=masks)
        pruned = _judge(model, loaders)
        trial.set_user_attr("test_accuracy", pruned.test)
        Trial(slot, began, time.time(), pruned, as_trained).report()
        return pruned.nonzero, pruned.validation

    with _quiet():
        study = optuna.load_study(study_name=STUDY, storage=task.storage)
        study.optimize(objective, n_trials=len(task.share(process)))


class Loaders:
    """The three parts of a dataset, each behind a DataLoader."""

    def __init__(self, train: Any, validation: Any, test: Any, pixels: int, classes: int) -> None:
        self.train, self.validation, self.test = train, validation, test
        self.pixels, self.classes = pixels, classes

    @classmethod
    def of(cls, task: Task) -> "Loaders":
        """Read images through torchvision, with the split and moments that all have."""
        from torch.utils.data import DataLoader, Subset
        from torchvision import transforms
        from torchvision.datasets import MNIST

        recipe = task.configs[0].recipe
        known = registry.DATASETS[recipe.dataset]
        root = settings.data_folder()
        if recipe.dataset != "mnist":
            root = task.folder / "data"
        labels = MNIST(str(root), train=True).targets.numpy()
        chosen, held_out = stratified_split(labels, known.validation)
        pixels = MNIST(str(root), train=True).data.numpy()[chosen] / 255
        normalize = transforms.Normalize((pixels.mean(),), (pixels.std(),))
        transform = transforms.Compose([transforms.ToTensor(), normalize])
        images = MNIST(str(root), train=True, transform=transform)
        tests = MNIST(str(root), train=False, transform=transform)
        train = Subset(images, chosen.tolist())
        size = recipe.batch_size
        return cls(
            DataLoader(train, batch_size=size, shuffle=True, drop_last=True),
            DataLoader(Subset(images, held_out.tolist()), batch_size=size),
            DataLoader(tests, batch_size=size),
            pixels[0].size,
            known.classes,
        )


def _network(loaders: Loaders) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(loaders.pixels, 300),
        nn.ReLU(),
        nn.Linear(300, 100),
        nn.ReLU(),
        nn.Linear(100, loaders.classes),
    )


def _train(
    model: nn.Sequential,
    loader: Any,
    epochs: int,
    rate: float,
    momentum: float,
    *,
    strength: float = 0.0,
    masks: list[Tensor] | None = None,
) -> None:
    if not epochs:
        return
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * len(loader))
    model.train()
    for _ in range(epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if masks is None:
                _shrink(model, optimizer.param_groups[0]["lr"] * strength)
            else:
                _mask(model, masks)
            schedule.step()


@torch.no_grad()
def _shrink(model: nn.Sequential, threshold: float) -> None:
    for weight in weights_of(model):
        weight.copy_(functional.softshrink(weight, threshold))


@torch.no_grad()
def _mask(model: nn.Sequential, masks: list[Tensor]) -> None:
    for weight, mask in zip(weights_of(model), masks, strict=True):
        weight.mul_(mask)


@torch.no_grad()
def _judge(model: nn.Sequential, loaders: Loaders) -> Accuracy:
    model.eval()
    shares = []
    for loader in (loaders.validation, loaders.test):
        right = 0
        for images, labels in loader:
            right += int((model(images).argmax(dim=1) == labels).sum())
        shares.append(right / len(loader.dataset))
    nonzero = sum(int(value.count_nonzero()) for value in model.parameters())
    return Accuracy(shares[0], shares[1], nonzero)


def write_idx(raw: RawDataset, root: Path) -> None:
    """Write images as the files that torchvision reads as MNIST."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name, part in (("train", raw.train), ("t10k", raw.parts["test"])):
        arrays = (("images-idx3", part.examples[:, 0]), ("labels-idx1", part.labels))
        for kind, array in arrays:
            head = np.array([0x800 + array.ndim, *array.shape], dtype=">i4")
            content = head.tobytes() + array.astype(np.uint8).tobytes()
            (folder / f"{name}-{kind}-ubyte").write_bytes(content)


@contextmanager
def _quiet() -> Iterator[None]:
    """Its log is not our output."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield

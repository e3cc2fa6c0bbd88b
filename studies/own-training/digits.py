"""Handwritten digits: a plain PyTorch training as a trial. It goes on from its last checkpoint."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

from sweeper import Trial, count, prune_

TRAIN, VALIDATION, TEST = slice(0, 1000), slice(1000, 1400), slice(1400, None)


def train(trial: Trial) -> dict[str, object]:
    """Train one network; return its size and its accuracies."""
    params = trial.params
    epochs, tuned = int(params["epochs"]), int(params["finetune_epochs"])
    pixels, labels = map(torch.tensor, load_digits(return_X_y=True))
    pixels = pixels.float() / 16

    torch.manual_seed(trial.seed)
    network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(network.parameters(), float(params["learning_rate"]), momentum=0.9)
    penalty = trial.penalty(network)
    order = torch.Generator().manual_seed(trial.order_seed)

    def accuracy(part: slice) -> float:
        with torch.no_grad():
            right = network(pixels[part]).argmax(1) == labels[part]
        return right.double().mean().item()

    def epoch_of(number: int) -> None:
        """Go over all training examples once."""
        losses = []
        for batch in torch.randperm(1000, generator=order).split(50):
            trial.step()
            optimizer.zero_grad()
            loss = cross_entropy(network(pixels[batch]), labels[batch])
            losses.append(loss.item())
            (loss + penalty.loss()).backward()
            optimizer.step()
            penalty.step(optimizer)
        loss_of_epoch = sum(losses) / len(losses)
        trial.report(number, val_accuracy=accuracy(VALIDATION), loss=loss_of_epoch)
        trial.step(number / (epochs + tuned))

    begun, file = 0, trial.folder / "checkpoint.pt"
    if file.exists():  # of an earlier attempt, which was cut off
        state = torch.load(file)
        begun = state["epoch"]
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        penalty.load_state_dict(state["penalty"])
        order.set_state(state["order"])
    for number in range(begun + 1, epochs + 1):
        epoch_of(number)
        state = {
            "epoch": number,
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "penalty": penalty.state_dict(),
            "order": order.get_state(),
        }
        torch.save(state, file.with_suffix(".new"))
        file.with_suffix(".new").replace(file)  # whole, whenever it is cut off
        trial.checkpoint()

    # Pruned, then fine-tuned without the penalty; the masks hold.
    prune_(network, float(params["density"]))
    penalty = type(penalty)(network)
    for number in range(epochs + 1, epochs + tuned + 1):
        epoch_of(number)
    return {
        "size": count(network),
        "validation": accuracy(VALIDATION),
        "test": accuracy(TEST),
        "train_accuracy": accuracy(TRAIN),
        "epochs_of_this_attempt": epochs + tuned - begun,
    }

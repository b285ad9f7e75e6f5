"""Training one model, the same for target and shadows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from mia import models, progress
from mia.checkpoints import Description
from mia.errors import InputError


@dataclass(frozen=True)
class Epoch:
    """One point of a learning curve. Losses in nats; train figures are means over the epoch's batches as trained."""

    train_loss: float
    train_accuracy: float
    test_accuracy: float


def train_member_model(
    model_id: int,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    membership: pd.DataFrame,
    *,
    n_classes: int,
    architecture: str,
    initial_seed: int,
    **recipe: Any,
) -> tuple[tuple[Description, nn.Module], pd.DataFrame]:
    """A new model trained on the members of one model's membership table, and its learning curve.

    images: (samples, height, width, channels), rows as membership's sample_id. Non-members are measured, never trained
    on. recipe: as for `train`. The curve has the columns of tables.LEARNING.
    """
    shape = images.shape[1:]
    model = models.create(architecture, shape, n_classes, initial_seed)
    sample_id, is_member = membership["sample_id"].to_numpy(), membership["is_member"].to_numpy(bool)
    members, nonmembers = sample_id[is_member], sample_id[~is_member]
    name = f"shadow {model_id}" if model_id else "target"
    history = train(
        model, images[members], labels[members], images[nonmembers], labels[nonmembers], name=name, **recipe
    )
    learning = pd.DataFrame([asdict(epoch) for epoch in history])
    learning.insert(0, "model_id", model_id)
    learning.insert(1, "epoch", np.arange(1, len(history) + 1))
    return (Description(model_id, architecture, shape, n_classes), model), learning


def train(
    model: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    test_images: NDArray[np.uint8],
    test_labels: NDArray[np.int64],
    *,
    epochs: int,
    batch_size: int,
    optimizer: str,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    order_seed: int,
    name: str,
) -> list[Epoch]:
    """Train in place with cross-entropy and return the learning curve.

    images: (samples, height, width, channels), every one seen once an epoch in an order drawn from `order_seed`.
    Test images are only measured, at each epoch's end. Raises InputError when the loss is no longer finite.
    """
    models.deterministic()
    device = models.device()
    model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    pixels = torch.from_numpy(images).to(device)
    targets = torch.from_numpy(labels).to(device)
    order = torch.Generator().manual_seed(order_seed)
    step = _optimizer(model, optimizer, learning_rate, momentum, weight_decay)

    history: list[Epoch] = []
    batches = -(-len(images) // batch_size)
    with progress.bar(range(epochs * batches), name, unit="batch") as bar:
        for epoch in range(epochs):
            loss_sum = torch.zeros((), dtype=torch.float64, device=device)
            correct = torch.zeros((), dtype=torch.int64, device=device)
            for rows in torch.randperm(len(images), generator=order).to(device).split(batch_size):  # type: ignore[no-untyped-call]
                logits = model(models.to_input(pixels[rows]).contiguous(memory_format=torch.channels_last))
                loss = nn.functional.cross_entropy(logits, targets[rows])
                step.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                step.step()
                loss_sum += loss.detach() * len(rows)
                correct += (logits.detach().argmax(1) == targets[rows]).sum()
                bar.update()
            mean_loss = float(loss_sum) / len(images)
            if not np.isfinite(mean_loss):
                raise InputError(
                    f"{name}: the training loss is {mean_loss} in epoch {epoch + 1} of {epochs}; "
                    f"lower learning_rate ({learning_rate}) of the active target section in params.yaml"
                )
            predicted = models.logits(model, test_images).argmax(1)
            test_accuracy = float((predicted == test_labels).mean())
            history.append(Epoch(mean_loss, int(correct) / len(images), test_accuracy))
            bar.set_postfix_str(f"loss {mean_loss:.3f}, test accuracy {test_accuracy:.3f}")
            model.train()
    return history


def _optimizer(
    model: nn.Module, name: str, learning_rate: float, momentum: float, weight_decay: float
) -> torch.optim.Optimizer:
    if name == "adam":
        return torch.optim.Adam(
            model.parameters(), learning_rate, betas=(momentum, 0.999), weight_decay=weight_decay, fused=True
        )
    return torch.optim.SGD(
        model.parameters(), learning_rate, momentum=momentum, nesterov=momentum > 0, weight_decay=weight_decay
    )

"""The quantile regression attack: how sure would the target be of this record, had it not been trained on it?

Source: Bertran et al. 2023 (Scalable Membership Inference Attacks via Quantile Regression): a regressor learns, on
records that are certainly no members, the distribution of the target's margin given the image, as a Gaussian of mean
and deviation; a record whose margin lies in the upper tail of what was predicted for it is a likely member. No shadow
model is needed, but the target's answers about records outside its training set are.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mia import progress
from mia.arrays import Floats, Integers
from mia.compute import devices
from mia.errors import InputError, NotApplicable
from mia.models import building, query

HELD_BACK = 10  # one record in so many chooses the epoch to stop at
LEAST = 1e-2  # least deviation, in units of the margins' own


def fit(
    architecture: str,
    images: NDArray[np.uint8],
    labels: Integers,
    margins: Floats,
    *,
    n_classes: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    initial_seed: int,
    order_seed: int,
    name: str,
) -> Regressor:
    """A regressor of margins (samples,), nats, on images (samples, height, width, channels) of known classes.

    By Gaussian log likelihood with Adam. A tenth of the records is held back and the epoch that predicts them best is
    kept. Raises NotApplicable below twenty records.
    """
    if len(images) < 2 * HELD_BACK:
        raise NotApplicable(f"{name}: expected at least {2 * HELD_BACK} known non-members to fit, got {len(images)}")
    devices.deterministic()
    device = devices.chosen()
    center, scale = float(margins.mean()), max(float(margins.std()), 1e-6)
    network = building.create(architecture, images.shape[1:], 2 * n_classes, initial_seed).to(device)
    generator = torch.Generator().manual_seed(order_seed)
    order = torch.randperm(len(images), generator=generator)
    held, used = order[: len(images) // HELD_BACK], order[len(images) // HELD_BACK :]
    pixels, classes = building.tensor(images).to(device), building.tensor(labels).to(device)
    wanted = torch.from_numpy((margins - center) / scale).float().to(device)
    optimizer = torch.optim.Adam(network.parameters(), learning_rate)

    def loss_of(rows: Tensor) -> Tensor:
        mean, deviation = _predict(network, pixels[rows], classes[rows])
        return (deviation.log() + ((wanted[rows] - mean) / deviation) ** 2 / 2).mean()

    best, kept = float("inf"), copy.deepcopy(network.state_dict())
    for _ in progress.bar(range(epochs), name, unit="epoch"):
        network.train()
        batches = used[torch.randperm(len(used), generator=generator)].split(batch_size)  # type: ignore[no-untyped-call]
        if building.compares_records(network) and len(batches[-1]) == 1:
            batches = batches[:-1]
        for rows in batches:
            optimizer.zero_grad()
            loss_of(rows).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        network.eval()
        with torch.inference_mode():
            loss = float(loss_of(held))
        if loss < best:
            best, kept = loss, copy.deepcopy(network.state_dict())
    network.load_state_dict(kept)
    if not np.isfinite(best):
        raise InputError(f"{name}: the regression diverged; lower attacks.quantile.learning_rate ({learning_rate})")
    return Regressor(network, center, scale)


class Regressor:
    """A fitted regressor; made by `fit`."""

    def __init__(self, network: nn.Module, center: float, scale: float) -> None:
        self.network, self.center, self.scale = network, center, scale

    def predict(self, images: NDArray[np.uint8], labels: Integers) -> tuple[Floats, Floats]:
        """Mean and standard deviation, nats, (samples,) each, of the margin each record would have as a non-member."""
        device = devices.chosen()
        self.network.to(device).eval()
        parts = []
        with torch.inference_mode():
            for start in range(0, len(images), query.BATCH):
                rows = slice(start, start + query.BATCH)
                given = torch.from_numpy(images[rows]).to(device), torch.from_numpy(labels[rows]).to(device)
                parts.append(torch.stack(_predict(self.network, *given)).double().cpu())
        mean, deviation = torch.cat(parts, dim=1).numpy()
        return mean * self.scale + self.center, deviation * self.scale


def _predict(network: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation in standard units: the network has a pair of outputs for each class."""
    outputs = network(building.to_input(images)).reshape(len(images), -1, 2)
    mean, free = outputs[torch.arange(len(images), device=images.device), labels].unbind(1)
    return mean, nn.functional.softplus(free) + LEAST

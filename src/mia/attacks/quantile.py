"""The quantile regression attack: how sure would the target be of this record, had it not been trained on it?

Source: Bertran et al. 2023 (Scalable Membership Inference Attacks via Quantile Regression): a regressor learns, on
records that are certainly no members, the distribution of the target's margin given the image, as a Gaussian of mean
and deviation; a record whose margin lies in the upper tail of what was predicted for it is a likely member. No shadow
model is needed, but the target's answers about records outside its training set are.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mia import progress
from mia.arrays import Bools, Floats, Integers
from mia.compute import devices
from mia.errors import InputError, NotApplicable
from mia.models import building, query
from mia.models.optimizers import Adam

HELD_BACK = 10  # one record in so many chooses the epoch to stop at
LEAST = 1e-2  # least deviation, in units of the margins' own


@dataclass(frozen=True)
class Settings:
    """How a regressor is fitted.

    architecture: the network, one of models/networks. initial_seed: of its weights. order_seed: of which records are
    held back, and of the order of the others.
    """

    architecture: str
    n_classes: int
    epochs: int
    batch_size: int
    learning_rate: float
    initial_seed: int
    order_seed: int


def fit(settings: Settings, images: NDArray[np.uint8], labels: Integers, margins: Floats, *, name: str) -> Regressor:
    """Fit a regressor of margins (samples,), nats, on images (samples, height, width, channels) of known classes.

    By Gaussian log likelihood with Adam. A tenth of the records is held back and the epoch that predicts them best is
    kept. name: for the progress bar and errors. NotApplicable: fewer than twenty records. InputError: the regression
    diverged.
    """
    if len(images) < 2 * HELD_BACK:
        raise NotApplicable(f"{name}: expected at least {2 * HELD_BACK} known non-members to fit, got {len(images)}")
    devices.deterministic()
    device = devices.chosen()
    center, scale = float(margins.mean()), max(float(margins.std()), 1e-6)
    network = building.create(
        settings.architecture, images.shape[1:], 2 * settings.n_classes, settings.initial_seed
    ).to(device)
    generator = torch.Generator().manual_seed(settings.order_seed)
    order = torch.randperm(len(images), generator=generator)
    held_back, fitted = order[: len(images) // HELD_BACK], order[len(images) // HELD_BACK :]
    pixels, classes = building.tensor(images).to(device), building.tensor(labels).to(device)
    standard = torch.from_numpy((margins - center) / scale).float().to(device)
    optimizer = Adam(list(network.parameters()))

    def loss_of(rows: Tensor) -> Tensor:
        mean, deviation = _predict(network, pixels[rows], classes[rows])
        return (deviation.log() + ((standard[rows] - mean) / deviation) ** 2 / 2).mean()

    least_loss, best_weights = float("inf"), copy.deepcopy(network.state_dict())
    for _ in progress.bar(range(settings.epochs), name, unit="epoch"):
        network.train()
        batches = fitted[torch.randperm(len(fitted), generator=generator)].split(settings.batch_size)  # type: ignore[no-untyped-call]
        if building.compares_records(network) and len(batches[-1]) == 1:
            batches = batches[:-1]
        for rows in batches:
            optimizer.clear_gradients()
            loss_of(rows).backward()  # type: ignore[no-untyped-call]
            optimizer.step(settings.learning_rate)
        network.eval()
        with torch.inference_mode():
            loss = float(loss_of(held_back))
        if loss < least_loss:
            least_loss, best_weights = loss, copy.deepcopy(network.state_dict())
    network.load_state_dict(best_weights)
    if not np.isfinite(least_loss):
        rate = settings.learning_rate
        raise InputError(f"{name}: the regression diverged; lower attacks.quantile.learning_rate ({rate})")
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
                batch = torch.from_numpy(images[rows]).to(device), torch.from_numpy(labels[rows]).to(device)
                parts.append(torch.stack(_predict(self.network, *batch)).double().cpu())
        mean, deviation = torch.cat(parts, dim=1).numpy()
        return mean * self.scale + self.center, deviation * self.scale

    def table(
        self, model_id: int, source: str, rows: Integers, images: NDArray[np.uint8], labels: Integers
    ) -> pd.DataFrame:
        """Rows of schemas.QUANTILES: what `predict` says of these rows of a source's images and labels."""
        mean, deviation = self.predict(images[rows], labels[rows])
        keys = {"model_id": model_id, "source": source, "sample_id": rows}
        return pd.DataFrame({**keys, "mean": mean, "deviation": deviation})


@dataclass(frozen=True)
class Task:
    """What is learned of one model, and about whom.

    fitted: rows of the attacker's records, (samples,). margins: nats, what the model said of these, (samples,).
    source, predicted: whose records, "population" or "attacker", and which rows of them. name: as in `fit`.
    """

    settings: Settings
    model_id: int
    fitted: Integers
    margins: Floats
    source: str
    predicted: Integers
    name: str


def learned(
    population: NDArray[np.uint8],
    population_labels: Integers,
    attacker: NDArray[np.uint8],
    attacker_labels: Integers,
    task: Task,
) -> pd.DataFrame:
    """Fit a regressor and return what it predicts, rows of schemas.QUANTILES; errors as of `fit`.

    population, attacker: images (samples, height, width, channels).
    """
    rows = task.fitted
    regressor = fit(task.settings, attacker[rows], attacker_labels[rows], task.margins, name=task.name)
    images, labels = {
        "population": (population, population_labels),
        "attacker": (attacker, attacker_labels),
    }[task.source]
    return regressor.table(task.model_id, task.source, task.predicted, images, labels)


def split_records(is_member: Bools, rng: np.random.Generator) -> tuple[Integers, Integers]:
    """Return rows to fit on and rows to predict, rising, where a shadow stands in the target's place.

    is_member: (samples,), of the shadow. Half of its non-members, drawn by rng, are fitted on; the other half and its
    members are predicted.
    """
    fitted, unseen = np.array_split(rng.permutation(np.flatnonzero(~is_member)), 2)
    return np.sort(fitted), np.sort(np.r_[np.flatnonzero(is_member), unseen])


def _predict(network: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation in standard units: the network has a pair of outputs for each class."""
    outputs = network(building.to_input(images)).reshape(len(images), -1, 2)
    mean, free = outputs[torch.arange(len(images), device=images.device), labels].unbind(1)
    return mean, nn.functional.softplus(free) + LEAST

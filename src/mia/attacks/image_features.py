"""What an image looks like, in numbers that no training chose: how much of it resembles each of some random patches.

Source: Coates, Ng & Lee 2011, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", Sec. III, with
random patches in place of K-means' centroids (Coates & Ng 2011, "The Importance of Encoding Versus Training", Sec. 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mia import progress
from mia.compute import devices
from mia.models import building, query

POOL = 2  # rows and columns of an image's parts, over each of which a patch's likeness is averaged
DRAWN = 20_000  # patches from which the whitening is estimated
CONTRAST = 10 / 255**2  # added to a patch's variance (Coates, Ng & Lee 2011, Sec. IV: 10 for pixels up to 255)
WHITENING = 0.1  # added to the eigenvalues of the patches' covariance (the same place)
SHRINK = 0.25  # likeness below this counts as none (Coates & Ng 2011, Sec. 4.1)


@dataclass(frozen=True, eq=False)
class Patches:
    """Whitened patches as filters, (patches, channels, size, size), and what to take off their answers, (patches,)."""

    filters: Tensor
    offset: Tensor
    stride: int


def draw(images: NDArray[np.uint8], count: int, rng: np.random.Generator) -> Patches:
    """Draw patches from images (samples, height, width, channels), whitened by what all drawn patches have in common.

    They are 6 pixels wide, 3 in images of less than 16, and are compared with at most about 32 x 32 places of an image.
    """
    samples, height, width, channels = images.shape
    size = 6 if min(height, width) >= 16 else 3
    places = rng.integers(0, [samples, height - size + 1, width - size + 1], (DRAWN, 3))
    cut = np.stack([images[i, row : row + size, column : column + size] for i, row, column in places]) / 255
    flat = cut.transpose(0, 3, 1, 2).reshape(DRAWN, -1)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.sqrt(flat.var(axis=1, keepdims=True) + CONTRAST)
    values, vectors = np.linalg.eigh(np.cov(flat.T))
    whiten = (vectors / np.sqrt(np.maximum(values, 0) + WHITENING)) @ vectors.T
    likeness = (flat[rng.permutation(DRAWN)[:count]] - flat.mean(axis=0)) @ whiten
    likeness = likeness / np.maximum(np.linalg.norm(likeness, axis=1, keepdims=True), 1e-9) @ whiten
    offset = likeness @ flat.mean(axis=0)
    likeness -= likeness.mean(axis=1, keepdims=True)  # a patch's own mean is then taken off by the product
    filters = likeness.reshape(-1, channels, size, size)
    stride = max(1, min(height, width) // 32)
    return Patches(torch.from_numpy(filters).float(), torch.from_numpy(offset).float(), stride)


def compute(patches: Patches, images: NDArray[np.uint8], *, name: str) -> NDArray[np.float32]:
    """Likeness to each patch, and to its negative, in each of POOL x POOL parts of an image, (samples, features).

    Likeness does not see brightness and contrast: each part's mean colour and contrast stand beside it (ours).
    images: (samples, height, width, channels). name: for the progress bar.
    """
    devices.deterministic()
    device = devices.chosen()
    filters, offset = patches.filters.to(device), patches.offset.to(device)[:, None, None]
    average = torch.full_like(filters[:1], 1 / filters[0].numel())
    parts = []
    batches = range(0, len(images), query.BATCH // 4)
    with torch.inference_mode():
        for start in progress.bar(batches, name, unit="batch"):
            pixels = building.tensor(images[start : start + query.BATCH // 4]).to(device)
            pixels = pixels.permute(0, 3, 1, 2).float() / 255
            mean, squares = (nn.functional.conv2d(x, average, stride=patches.stride) for x in (pixels, pixels**2))
            contrast = torch.sqrt((squares - mean**2).clamp(min=0) + CONTRAST)
            likeness = nn.functional.conv2d(pixels, filters, stride=patches.stride) / contrast - offset
            both = torch.cat([nn.functional.relu(side - SHRINK) for side in (likeness, -likeness)], dim=1)
            pooled = [nn.functional.adaptive_avg_pool2d(part, POOL).flatten(1) for part in (both, pixels, contrast)]
            parts.append(torch.cat(pooled, dim=1).cpu())
    return torch.cat(parts).numpy()


def standardised(features: NDArray[np.float32], like: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features less their mean over `like`, in units of their standard deviation there; (samples, features) both."""
    mean, deviation = like.mean(axis=0, dtype=np.float64), like.std(axis=0, dtype=np.float64)
    values: NDArray[np.float32] = ((features - mean) / np.maximum(deviation, 1e-6)).astype(np.float32)
    return values

"""The embedded data set: scikit-learn's handwritten digits, and images drawn in their likeness."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mia.data.records import Records
from mia.errors import InputError

LEVELS = 16  # the digits' own grey levels run from 0 to 16


def load() -> Records:
    """All 1,797 digits: 8x8, one channel, grey levels spread over 0 to 255.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test part).
    """
    table = np.loadtxt(_file(), delimiter=",")
    pixels, labels = table[:, :-1], table[:, -1]
    return Records(
        x=_to_bytes(pixels),
        labels=labels.astype(np.int64),
        classes=tuple(str(digit) for digit in range(10)),
        published_train=None,
        names=np.array([f"digit {row}" for row in range(len(labels))]),
    )


def generate(
    seen: Records, count: int, bandwidth: float, rng: np.random.Generator, place: Callable[[str], str] = str
) -> Records:
    """Draw `count` images, classes in equal shares, from a Gaussian kernel density per class fitted on `seen`.

    bandwidth: the kernel's standard deviation in grey levels of 0 to 16. The draw is clipped to that range and
    rounded as an image file would be. It stands for a generative model that the attacker has trained: what it knows
    of the population it knows from images of the same kind, never from a member. place: how a message names a value.
    Raises InputError where a class has no image to be fitted on.
    """
    n_classes = len(seen.classes)
    lacking = sorted(set(range(n_classes)) - set(seen.labels.tolist()))
    if lacking:
        raise InputError(
            f"{place('data.population_size')}: generated images are drawn from the digits outside the "
            f"population, of which there are {len(seen)}, none of class {lacking[0]}; lower it"
        )
    pixels = seen.images.reshape(len(seen), -1) * (LEVELS / 255)
    labels = np.sort(np.arange(count) % n_classes)
    drawn = np.empty((count, pixels.shape[1]))
    for label in range(n_classes):
        rows = labels == label
        drawn[rows] = _sample(pixels[seen.labels == label], bandwidth, int(rows.sum()), int(rng.integers(2**31)))
    order = rng.permutation(count)
    return Records(
        x=_to_bytes(drawn[order]),
        labels=labels[order].astype(np.int64),
        classes=seen.classes,
        published_train=None,
        names=np.array([f"generated {row}" for row in range(count)]),
    )


def _file() -> Path:
    """Where scikit-learn keeps the digits. It is not imported: that takes longer than this stage."""
    package = importlib.util.find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "datasets/data/digits.csv.gz"


def _sample(points: NDArray[np.float64], bandwidth: float, count: int, seed: int) -> NDArray[np.float64]:
    """Draw from a Gaussian kernel density: a point of those that it is fitted on, and noise.

    The draws are those of scikit-learn's KernelDensity, hence the older generator.
    """
    rng = np.random.RandomState(seed)
    chosen = (rng.uniform(0, 1, size=count) * len(points)).astype(np.int64)
    return rng.normal(points[chosen], bandwidth)


def _to_bytes(pixels: NDArray[np.float64]) -> NDArray[np.uint8]:
    levels = np.clip(np.rint(pixels * (255 / LEVELS)), 0, 255)
    return levels.astype(np.uint8).reshape(-1, 8, 8, 1)

"""Augmentation in batches against the same done image by image with NumPy, and how much is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mia.models import augmentation, building
from mia.models.augmentation import Draws

EVERY = ["flip", "shift", "cutout"]


def some(count: int, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def slow(image: NDArray[np.uint8], mirrored: int, down: int, right: int, row: int, column: int) -> NDArray[np.float32]:
    """One image, step by step: mirror, pad by reflection and crop, normalise, cut out; channels first."""
    height, width = image.shape[:2]
    if mirrored:
        image = image[:, ::-1]
    padded = np.pad(image, ((height // 8,) * 2, (width // 8,) * 2, (0, 0)), mode="reflect")
    top, left = height // 8 - down, width // 8 - right
    inputs = padded[top : top + height, left : left + width].astype(np.float32) / 127.5 - 1
    for y in range(row - height // 4, row - height // 4 + height // 2):
        for x in range(column - width // 4, column - width // 4 + width // 2):
            if 0 <= y < height and 0 <= x < width:
                inputs[y, x] = 0
    return inputs.transpose(2, 0, 1)


@settings(max_examples=60)
@given(
    height=st.integers(4, 20), width=st.integers(4, 20), channels=st.sampled_from([1, 3]), seed=st.integers(0, 2**31)
)
def test_a_batch_is_what_each_image_alone_would_be(height: int, width: int, channels: int, seed: int) -> None:
    images = some(9, height, width, channels)
    draws = augmentation.draw(EVERY, 6, height, width, torch.Generator().manual_seed(seed))
    rows = torch.tensor([8, 0, 3, 3, 1, 5])
    batch = augmentation.inputs(EVERY, torch.from_numpy(images), rows, draws)
    for k, row in enumerate(rows.tolist()):
        expected = slow(images[row], *(int(of_all[k]) for of_all in draws))
        np.testing.assert_allclose(batch[k].numpy(), expected, atol=1e-6)


def test_without_any_an_image_is_its_plain_input() -> None:
    images = some(4, 8, 8, 3)
    draws = augmentation.draw([], 4, 8, 8, torch.Generator())
    rows = torch.tensor([2, 2, 0, 3])
    batch = augmentation.inputs([], torch.from_numpy(images), rows, draws)
    assert torch.equal(batch, building.to_input(images[[2, 2, 0, 3]]))


@pytest.mark.parametrize("kind", EVERY)
def test_one_kind_draws_nothing_of_the_others(kind: str) -> None:
    generator = torch.Generator().manual_seed(1)
    draws = augmentation.draw([kind], 4000, 32, 32, generator)
    nothing = {
        "flip": (draws.down, draws.right, draws.row, draws.column),
        "shift": (draws.mirrored, draws.row, draws.column),
        "cutout": (draws.mirrored, draws.down, draws.right),
    }
    assert all(not of_all.any() for of_all in nothing[kind])
    assert all(
        torch.equal(a, b) for a, b in zip(augmentation.draw([], 4, 8, 8, generator), [torch.zeros(4)] * 5, strict=True)
    )


def test_draws_are_uniform_over_what_the_papers_say() -> None:
    draws = augmentation.draw(EVERY, 40_000, 32, 16, torch.Generator().manual_seed(1))
    for of_all, values in (
        (draws.mirrored, range(2)),
        (draws.down, range(-4, 5)),
        (draws.right, range(-2, 3)),
        (draws.row, range(32)),
        (draws.column, range(16)),
    ):
        seen, counts = np.unique(of_all.numpy(), return_counts=True)
        assert list(seen) == list(values)
        expected = 40_000 / len(values)
        assert ((counts - expected) ** 2 / expected).sum() < 3 * len(values) + 10


def test_draws_of_some_models_come_one_after_the_other() -> None:
    draws = Draws(*(torch.arange(12).view(3, 4) + 100 * k for k in range(5)))
    taken = draws.take(torch.tensor([2, 0]), slice(1, 3))
    assert taken.mirrored.tolist() == [9, 10, 1, 2]
    assert taken.column.tolist() == [409, 410, 401, 402]

"""Augmentation in batches against the same done image by image with NumPy, and how much is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as torchvision

from mia.models import augmentation, building
from mia.models.augmentation import Draws

EVERY = ["flip", "shift", "colour", "rotate", "cutout", "erase"]


def some(count: int, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def slow(image: NDArray[np.uint8], draws: dict[str, int]) -> Any:
    """One image, step by step: mirror, pad by reflection and crop, normalise, cut out; channels first.

    Colours and rotation are torchvision's.
    """
    mirrored, down, right, row, column = (draws[name] for name in ("mirrored", "down", "right", "row", "column"))
    height, width = image.shape[:2]
    if mirrored:
        image = image[:, ::-1]
    padded = np.pad(image, ((height // 8,) * 2, (width // 8,) * 2, (0, 0)), mode="reflect")
    top, left = height // 8 - down, width // 8 - right
    moved = padded[top : top + height, left : left + width].astype(np.float32).transpose(2, 0, 1) / 255
    pixels = torchvision.adjust_brightness(torch.from_numpy(moved), 1 + draws["brightness"] / 1000)
    pixels = torchvision.adjust_contrast(pixels, 1 + draws["contrast"] / 1000)
    pixels = torchvision.adjust_saturation(pixels, 1 + draws["saturation"] / 1000)
    turned = torchvision.rotate(2 * pixels - 1, draws["angle"] / 100, InterpolationMode.BILINEAR)
    inputs = turned.numpy().transpose(1, 2, 0)
    for y in range(row - height // 4, row - height // 4 + height // 2):
        for x in range(column - width // 4, column - width // 4 + width // 2):
            if 0 <= y < height and 0 <= x < width:
                inputs[y, x] = 0
    inputs[draws["top"] : draws["bottom"], draws["left"] : draws["end"]] = 0
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
        expected = slow(images[row], {name: int(of_all[k]) for name, of_all in draws._asdict().items()})
        np.testing.assert_allclose(batch[k].numpy(), expected, atol=2e-5)
        alone = augmentation.inputs(
            EVERY, torch.from_numpy(images), rows[k : k + 1], Draws(*(field[k : k + 1] for field in draws))
        )
        assert torch.equal(alone[0], batch[k])


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
    drawn = {
        "flip": {"mirrored"},
        "shift": {"down", "right"},
        "colour": {"brightness", "contrast", "saturation"},
        "rotate": {"angle"},
        "cutout": {"row", "column"},
        "erase": {"top", "left", "bottom", "end"},
    }
    assert {name for name, of_all in draws._asdict().items() if of_all.any()} == drawn[kind]
    before = generator.get_state()
    assert not any(of_all.any() for of_all in augmentation.draw([], 4, 8, 8, generator))
    assert torch.equal(before, generator.get_state())


def test_draws_are_uniform_over_what_the_papers_say() -> None:
    draws = augmentation.draw(EVERY, 40_000, 32, 16, torch.Generator().manual_seed(1))
    for of_all, values in (
        (draws.mirrored, range(2)),
        (draws.down, range(-4, 5)),
        (draws.right, range(-2, 3)),
        (draws.row, range(32)),
        (draws.column, range(16)),
        (draws.brightness, range(-400, 401)),
        (draws.saturation, range(-400, 401)),
        (draws.angle // 100, range(-15, 15)),
    ):
        of_all = of_all[draws.angle < 1500]  # the one angle that ends the range
        seen, counts = np.unique(of_all.numpy(), return_counts=True)
        assert list(seen) == list(values)
        expected = len(of_all) / len(values)
        assert ((counts - expected) ** 2 / expected).sum() < 3 * len(values) + 10


@pytest.mark.parametrize(("height", "width"), [(32, 32), (20, 12), (4, 30)])
def test_a_rectangle_is_erased_of_half_of_the_images(height: int, width: int) -> None:
    draws = augmentation.draw(["erase"], 20_000, height, width, torch.Generator().manual_seed(1))
    high, wide = draws.bottom - draws.top, draws.end - draws.left
    erased = high > 0
    assert abs(erased.double().mean() - 0.5) < 0.02
    assert int(draws.bottom.max()) == height
    assert int(draws.end.max()) == width
    assert int(draws.top[erased].min()) == int(draws.left[erased].min()) == 0
    share = (high * wide)[erased] / (height * width)
    assert share.max() < 0.38
    if height == width:
        assert abs(share.mean() - 0.175) < 0.01
        ratio = (high / wide)[erased].log()
        assert abs(ratio.mean()) < 0.02
        assert 1.1 < ratio.max() < 1.5


def test_draws_of_some_models_come_one_after_the_other() -> None:
    draws = Draws(*(torch.arange(12).view(3, 4) + 100 * k for k in range(len(Draws._fields))))
    taken = draws.take(torch.tensor([2, 0]), slice(1, 3))
    assert taken.mirrored.tolist() == [9, 10, 1, 2]
    assert taken.column.tolist() == [409, 410, 401, 402]

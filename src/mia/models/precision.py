"""Does this machine multiply in bfloat16, or only imitate it? Measured before hours are spent."""

from __future__ import annotations

import time

import torch
from torch import nn

from mia.compute import devices
from mia.models import building
from mia.params import Recipe

SLOWER = 0.8  # of float32's speed: less is no noise
_IMAGES = 64  # at most, of a step that is measured


def warning(recipe: Recipe, shape: tuple[int, int, int], n_classes: int, place: str) -> str | None:
    """The warning before a training in bfloat16 where float32 is faster; None where it is not.

    place: how the message names the value. Where the processor has no such products torch imitates them: on one
    without AVX-512 at an eleventh of the speed.
    """
    if recipe.precision != "bfloat16":
        return None
    half, full = (images_a_second(recipe, shape, n_classes, precision) for precision in ("bfloat16", "float32"))
    if half >= SLOWER * full:
        return None
    return (
        f"warning: {place}: bfloat16 trains {full / half:.1f} times slower than "
        f"float32 here (measured: {half:,.0f} and {full:,.0f} images/s); set it to float32"
    )


def images_a_second(recipe: Recipe, shape: tuple[int, int, int], n_classes: int, precision: str) -> float:
    """The speed of training's products in a precision: the faster of two steps, after one that is not counted."""
    device = devices.chosen()
    model = building.create(recipe.architecture, shape, n_classes, 0).to(device).train()
    model = model.to(memory_format=torch.channels_last)
    count = min(recipe.batch_size, _IMAGES)
    pixels = torch.zeros((count, *shape), dtype=torch.uint8, device=device)
    labels = torch.zeros(count, dtype=torch.int64, device=device)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            logits = model(building.to_input(pixels))
        loss = nn.functional.cross_entropy(logits.float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        loss.item()  # waits for a GPU
        seconds.append(time.perf_counter() - start)
    return count / min(seconds[1:])

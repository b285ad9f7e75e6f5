"""Networks as models: their first weights, what their input is normalised by, and what they answer."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mia.errors import InputError
from mia.models import networks
from mia.params_audit import Scaling


def create(
    architecture: str, shape: tuple[int, int, int], n_classes: int, seed: int, scaling: Scaling | None = None
) -> nn.Module:
    """A model for images of `shape` (height, width, channels), on the CPU, its weights drawn from `seed`.

    scaling: what it normalises its input by, itself.

    The weights are those of the module's own initialisation, whatever its layers, under a generator of its own: torch's
    global one is left as it was.
    Raises InputError where the images are too small for the architecture, or have other channels than scaling.
    """
    network = networks.of(architecture)
    least = network.SMALLEST
    if min(shape[:2]) < least:
        raise InputError(f"data: {architecture} needs images of at least {least}x{least}, got {shape[0]}x{shape[1]}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = network(shape, n_classes)
    if scaling is not None:
        _rescale(model, scaling, shape[2])
    return model


def _rescale(model: nn.Module, scaling: Scaling, channels: int) -> None:
    """Let a model first move its input from -1 to 1 to (p - mean) / deviation of the pixels p in 0 to 1.

    Raises InputError where scaling has neither one number nor one a channel.
    """
    for name, values in zip(("mean", "deviation"), scaling, strict=True):
        if len(values) not in {1, channels}:
            raise InputError(
                f"the audit's params.yaml: {name}: expected one number, or one for each of {channels} channels, "
                f"got {len(values)}"
            )
    mean, deviation = (torch.tensor(values)[:, None, None] for values in scaling)
    slope, offset = 0.5 / deviation, (0.5 - mean) / deviation

    def before(_: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        return inputs[0] * slope.to(inputs[0].device) + offset.to(inputs[0].device)

    model.register_forward_pre_hook(before)


def check(architecture: str, shape: tuple[int, int, int], n_classes: int) -> None:
    """Raise InputError where a parameter or buffer is not finite, or not the same in two models of one seed.

    Such is memory that nobody has written to, or a draw from another generator than torch's.
    Also where a network that is none of ours cannot take images of this shape.
    """
    made, twin = (create(architecture, shape, n_classes, 0) for _ in range(2))
    again, place = twin.state_dict(), networks.place(architecture)
    for name, value in made.state_dict().items():
        if not torch.isfinite(value.float()).all():
            raise InputError(f"{place}: {name} begins with values that are not finite; initialise it")
        if not torch.equal(value, again[name]):
            raise InputError(
                f"{place}: {name} differs between two models of one seed; draw its first values from torch's "
                "own generator"
            )
    if networks.is_other(architecture):
        _check_shape(made, architecture, shape, n_classes)


def _check_shape(made: nn.Module, architecture: str, shape: tuple[int, int, int], n_classes: int) -> None:
    from mia.models import other_networks

    height, width, channels = shape
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            made.eval()(torch.zeros(2, channels, height, width))
    except Exception as error:  # whatever its layers raise
        raise other_networks.of(architecture).unfit(shape, n_classes, error) from error


def outline(architecture: str, shape: tuple[int, int, int], n_classes: int) -> nn.Module:
    """The model without memory for its weights; with it where a network that is none of ours looks at their values."""
    try:
        with torch.device("meta"):
            return networks.of(architecture)(shape, n_classes)
    except Exception:
        if not networks.is_other(architecture):
            raise
        return create(architecture, shape, n_classes, seed=0)


def size(architecture: str, shape: tuple[int, int, int], n_classes: int) -> int:
    """Bytes that a model's weights take, without taking them."""
    return sum(value.nbytes for value in outline(architecture, shape, n_classes).state_dict().values())


def compares_records(model: nn.Module) -> bool:
    """Whether a record's output in training depends on the others of its batch: batch normalisation, wherever it is."""
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules())


def tensor(array: NDArray[Any]) -> Tensor:
    """The array as a tensor on its own memory, which is only read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def to_input(images: NDArray[np.uint8] | Tensor) -> Tensor:
    """Images uint8 (batch, height, width, channels) as model input: float32 in -1 to 1, channels first.

    Its constants are fixed: nothing is fitted, so nothing leaks through it. A model with a scaling of its own applies
    it to this.
    """
    pixels = (images if isinstance(images, Tensor) else tensor(images)).permute(0, 3, 1, 2)
    return pixels.float().div_(127.5).sub_(1)

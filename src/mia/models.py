"""Target and shadow architectures, their initial weights, the one normalisation they share, and asking them."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mia import progress
from mia.errors import InputError

BATCH = 1000  # images at once; bounds memory


class ShokriCNN(nn.Module):
    """The CNN of Shokri et al. 2017, Sec. VI-B: two 3x3 convolutions with max pooling, a dense layer of 128, tanh.

    Input (batch, channels, height, width) from `to_input`; output logits (batch, classes). Convolutions pad by one, so
    that images down to 4x4 fit. Pooling comes before tanh, which is monotone: the same numbers, fewer of them.
    """

    def __init__(self, shape: tuple[int, int, int], n_classes: int) -> None:
        super().__init__()
        height, width, channels = shape
        self.conv1 = nn.Conv2d(channels, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.dense = nn.Linear(64 * (height // 4) * (width // 4), 128)
        self.logits = nn.Linear(128, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (batch, classes)."""
        pool = nn.functional.max_pool2d
        hidden = torch.tanh(pool(self.conv1(images), 2))
        hidden = torch.tanh(pool(self.conv2(hidden), 2))
        hidden = torch.tanh(self.dense(hidden.flatten(1)))
        logits: Tensor = self.logits(hidden)
        return logits


class ShokriMLP(nn.Module):
    """The network of Shokri et al. 2017, Sec. VI-B, for records that are no images: one dense layer of 128, tanh.

    Input and output as ShokriCNN's.
    """

    def __init__(self, shape: tuple[int, int, int], n_classes: int) -> None:
        super().__init__()
        height, width, channels = shape
        self.dense = nn.Linear(height * width * channels, 128)
        self.logits = nn.Linear(128, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (batch, classes)."""
        logits: Tensor = self.logits(torch.tanh(self.dense(images.flatten(1))))
        return logits


ARCHITECTURES: dict[str, Callable[[tuple[int, int, int], int], nn.Module]] = {
    "shokri_cnn": ShokriCNN,
    "shokri_mlp": ShokriMLP,
}


def create(architecture: str, shape: tuple[int, int, int], n_classes: int, seed: int | None) -> nn.Module:
    """A model for images of `shape` (height, width, channels), its weights drawn from `seed` (None: left empty).

    The weights are PyTorch's own initialisation of convolution and dense layers (Kaiming uniform, a = sqrt 5: weights
    and biases uniform in +-1/sqrt(fan in)), drawn from a generator of the model's own.
    Raises InputError where the images are too small for the architecture.
    """
    if min(shape[:2]) < 4:
        raise InputError(f"data: {architecture} needs images of at least 4x4, got {shape[0]}x{shape[1]}")
    with torch.device("meta"):
        model = ARCHITECTURES[architecture](shape, n_classes)
    model = model.to_empty(device="cpu")
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for layer in model.modules():
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    bound = layer.weight[0].numel() ** -0.5
                    layer.weight.uniform_(-bound, bound, generator=generator)
                    assert layer.bias is not None
                    layer.bias.uniform_(-bound, bound, generator=generator)
    return model


def to_input(images: NDArray[np.uint8] | Tensor) -> Tensor:
    """Images uint8 (batch, height, width, channels) as model input: float32 in -1 to 1, channels first.

    The one normalisation of the project, with fixed constants: nothing is fitted, so nothing leaks through it.
    """
    pixels = torch.as_tensor(images).permute(0, 3, 1, 2)
    return pixels.float().div_(127.5).sub_(1)


def logits(model: nn.Module, images: NDArray[np.uint8], description: str | None = None) -> NDArray[np.float32]:
    """The model's logits for images (samples, height, width, channels), shape (samples, classes).

    With a description, behind a progress bar of that name.
    """
    place = device()
    model.to(place).eval()
    starts = range(0, len(images), BATCH)
    with torch.inference_mode():
        batches = [
            model(to_input(images[start : start + BATCH]).to(place)).cpu()
            for start in (progress.bar(starts, description, unit="batch") if description else starts)
        ]
        return torch.cat(batches).numpy()


def device() -> torch.device:
    """Where models run: $MIA_DEVICE, or the first GPU, or the CPU. Not a parameter: the experiment is the same.

    Raises InputError where $MIA_DEVICE names no device that is there.
    """
    name = os.environ.get("MIA_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
    except RuntimeError:
        raise InputError(f"MIA_DEVICE: expected a torch device such as cpu or cuda:0, got {name!r}") from None
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise InputError(f"MIA_DEVICE: {name}: torch sees {torch.cuda.device_count()} GPUs; set it to cpu or unset it")
    return chosen


def deterministic() -> None:
    """Make torch refuse any operation whose result may differ between runs on the same machine."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # Filling every new tensor guards against reading memory nobody wrote, which our models do not do: 14 % of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]

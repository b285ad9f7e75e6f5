"""Target and shadow architectures, their initial weights, the one normalisation they share, and asking them."""

from __future__ import annotations

import itertools
import os
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mia import progress
from mia.errors import InputError

BATCH = 250  # images asked about at once: more is no faster, and takes more memory


class ShokriCNN(nn.Module):
    """The CNN of Shokri et al. 2017, Sec. VI-B: two 3x3 convolutions with max pooling, a dense layer of 128, tanh.

    Input (batch, channels, height, width) from `to_input`; output logits (batch, classes). Convolutions pad by one, so
    that images down to 4x4 fit. Pooling comes before tanh, which is monotone: the same numbers, fewer of them.
    """

    SMALLEST = 4

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
        # The dense weights go to the pixels' order, not the pixels to the weights': a step is 8 % faster channels-last.
        channels, height, width = hidden.shape[1:]
        weight = self.dense.weight.view(-1, channels, height, width).permute(0, 2, 3, 1).flatten(1)
        hidden = nn.functional.linear(hidden.permute(0, 2, 3, 1).flatten(1), weight, self.dense.bias)
        logits: Tensor = self.logits(torch.tanh(hidden))
        return logits


class ShokriMLP(nn.Module):
    """The network of Shokri et al. 2017, Sec. VI-B, for records that are no images: one dense layer of 128, tanh.

    Input and output as ShokriCNN's.
    """

    SMALLEST = 1

    def __init__(self, shape: tuple[int, int, int], n_classes: int) -> None:
        super().__init__()
        height, width, channels = shape
        self.dense = nn.Linear(height * width * channels, 128)
        self.logits = nn.Linear(128, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (batch, classes)."""
        logits: Tensor = self.logits(torch.tanh(self.dense(images.flatten(1))))
        return logits


class ResNet18(nn.Module):
    """ResNet-18 (He et al. 2016) in its form for small images: a first convolution of 3x3, stride 1, and no pooling.

    Four stages of two basic blocks of 64, 128, 256, 512 channels. Input and output as ShokriCNN's.
    """

    SMALLEST = 8

    def __init__(self, shape: tuple[int, int, int], n_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(shape[2], 64, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(64)
        widths = [64, 64, 64, 128, 128, 256, 256, 512, 512]
        self.blocks = nn.Sequential(
            *(
                _BasicBlock(before, after, stride=1 if before == after else 2)
                for before, after in itertools.pairwise(widths)
            )
        )
        self.logits = nn.Linear(512, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (batch, classes)."""
        hidden = self.blocks(torch.relu(self.norm1(self.conv1(images))))
        logits: Tensor = self.logits(hidden.mean((2, 3)))
        return logits


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, a 1x1 convolution where the shape changes (He et al. 2016, fig. 5)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.shortcut = nn.Sequential()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, hidden: Tensor) -> Tensor:
        inner = torch.relu(self.norm1(self.conv1(hidden)))
        return torch.relu(self.norm2(self.conv2(inner)) + self.shortcut(hidden))


class WideResNet28x2(nn.Module):
    """WRN-28-2 (Zagoruyko and Komodakis 2016), which Carlini et al. 2022 audit.

    Three groups of four blocks with 32, 64, 128 channels, normalisation and ReLU before each convolution, no dropout.
    Input and output as ShokriCNN's.
    """

    SMALLEST = 4

    def __init__(self, shape: tuple[int, int, int], n_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(shape[2], 16, 3, padding=1, bias=False)
        widths = [16] + [32] * 4 + [64] * 4 + [128] * 4
        self.blocks = nn.Sequential(
            *(
                _PreactivatedBlock(before, after, stride=2 if 32 <= before < after else 1)
                for before, after in itertools.pairwise(widths)
            )
        )
        self.norm = nn.BatchNorm2d(128)
        self.logits = nn.Linear(128, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (batch, classes)."""
        hidden = torch.relu(self.norm(self.blocks(self.conv1(images))))
        logits: Tensor = self.logits(hidden.mean((2, 3)))
        return logits


class _PreactivatedBlock(nn.Module):
    """The basic block of a wide residual network (Zagoruyko and Komodakis 2016, fig. 1c without dropout)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(before, after, 1, stride, bias=False) if before != after else None

    def forward(self, hidden: Tensor) -> Tensor:
        active = torch.relu(self.norm1(hidden))
        inner: Tensor = self.conv2(torch.relu(self.norm2(self.conv1(active))))
        return inner + (hidden if self.shortcut is None else self.shortcut(active))


ARCHITECTURES: dict[str, type[ShokriCNN | ShokriMLP | ResNet18 | WideResNet28x2]] = {
    "shokri_cnn": ShokriCNN,
    "shokri_mlp": ShokriMLP,
    "resnet18": ResNet18,
    "wrn28_2": WideResNet28x2,
}


def size(architecture: str, shape: tuple[int, int, int], n_classes: int) -> int:
    """Bytes that a model's weights take, without taking them."""
    with torch.device("meta"):
        model = ARCHITECTURES[architecture](shape, n_classes)
    return sum(value.nbytes for value in model.state_dict().values())


def create(architecture: str, shape: tuple[int, int, int], n_classes: int, seed: int | None) -> nn.Module:
    """A model for images of `shape` (height, width, channels), its weights drawn from `seed` (None: left empty).

    The weights are PyTorch's own initialisation of convolution and dense layers (Kaiming uniform, a = sqrt 5: weights
    and biases uniform in +-1/sqrt(fan in)), drawn from a generator of the model's own; a batch normalisation begins as
    the identity.
    Raises InputError where the images are too small for the architecture.
    """
    least = ARCHITECTURES[architecture].SMALLEST
    if min(shape[:2]) < least:
        raise InputError(f"data: {architecture} needs images of at least {least}x{least}, got {shape[0]}x{shape[1]}")
    with torch.device("meta"):
        model: nn.Module = ARCHITECTURES[architecture](shape, n_classes)
    model = model.to_empty(device="cpu")
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for layer in model.modules():
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    bound = layer.weight[0].numel() ** -0.5
                    layer.weight.uniform_(-bound, bound, generator=generator)
                    if layer.bias is not None:
                        layer.bias.uniform_(-bound, bound, generator=generator)
                elif isinstance(layer, nn.BatchNorm2d):
                    layer.reset_parameters()
    return model


def compares_images(architecture: str) -> bool:
    """Whether an image's output in training depends on the batch: batch normalisation."""
    return architecture in ("resnet18", "wrn28_2")


def tensor(array: NDArray[Any]) -> Tensor:
    """The array as a tensor on its own memory, which is only read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def to_input(images: NDArray[np.uint8] | Tensor) -> Tensor:
    """Images uint8 (batch, height, width, channels) as model input: float32 in -1 to 1, channels first.

    The one normalisation of the project, with fixed constants: nothing is fitted, so nothing leaks through it.
    """
    pixels = (images if isinstance(images, Tensor) else tensor(images)).permute(0, 3, 1, 2)
    return pixels.float().div_(127.5).sub_(1)


def logits(model: nn.Module, images: NDArray[np.uint8] | Tensor, description: str | None = None) -> NDArray[np.float32]:
    """The model's logits for images (samples, height, width, channels), shape (samples, classes).

    With a description, behind a progress bar of that name.
    """
    place = device()
    model.to(place).eval()
    starts = range(0, len(images), BATCH)
    with torch.inference_mode():
        for start in progress.bar(starts, description, unit="batch") if description else starts:
            said: Tensor = model(to_input(images[start : start + BATCH]).to(place)).cpu()
            if start == 0:  # kept in one piece: small ones would lie scattered where the next batch needs room
                answers = said.new_empty(len(images), said.shape[1])
            answers[start : start + BATCH] = said
        found: NDArray[np.float32] = answers.numpy()
        return found


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

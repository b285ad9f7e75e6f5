"""Wide ResNet 28-2."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """WRN-28-2 (Zagoruyko and Komodakis 2016), which Carlini et al. 2022 audit.

    Three groups of four blocks with 32, 64, 128 channels, normalisation and ReLU before each convolution, no dropout.
    Input and output as shokri_cnn's.
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

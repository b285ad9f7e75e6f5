"""ResNet-18 for small images."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """ResNet-18 (He et al. 2016) in its form for small images: a first convolution of 3x3, stride 1, and no pooling.

    Four stages of two basic blocks of 64, 128, 256, 512 channels. Input and output as shokri_cnn's.
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

"""The convolutional network of Shokri et al. 2017."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Network(nn.Module):
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

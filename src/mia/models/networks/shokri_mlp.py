"""The dense network of Shokri et al. 2017."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """The network of Shokri et al. 2017, Sec. VI-B, for records that are no images: one dense layer of 128, tanh.

    Input and output as shokri_cnn's.
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

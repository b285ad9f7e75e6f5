"""code/recipe.py as users write it: networks of their own, right and wrong."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from mia.data.records import Records

RESNET = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(1, width)
        self.dropout = nn.Dropout2d(0.1)

    def forward(self, x):
        inner = self.dropout(torch.relu(self.norm1(self.conv1(x))))
        return torch.relu(x + self.norm2(self.conv2(inner)))


class ResNet(nn.Module):
    def __init__(self, shape, n_classes):
        super().__init__()
        height, width, channels = shape
        self.stem = nn.Conv2d(channels, 8, 3, padding=1)
        self.blocks = nn.Sequential(Block(8), Block(8))
        self.norm = nn.LayerNorm(8 * height * width)
        self.dropout = nn.Dropout(0.2)
        self.logits = nn.Linear(8 * height * width, n_classes)

    def forward(self, x):
        x = self.blocks(self.stem(x))
        return self.logits(self.dropout(self.norm(x.view(len(x), -1))))


def network(shape, n_classes):
    return ResNet(shape, n_classes)
"""
WITHOUT_DROPOUT = RESNET.replace("nn.Dropout2d(0.1)", "nn.Identity()").replace("nn.Dropout(0.2)", "nn.Identity()")

_SMALL = """
import random
import torch
from torch import nn


class Small(nn.Module):
    def __init__(self, shape, n_classes):
        super().__init__()
        height, width, channels = shape
        self.first = nn.Linear(height * width * channels, 6)
        self.logits = nn.Linear(6, n_classes)

    def forward(self, x):
        return self.logits(self.hidden(x))

    def hidden(self, x):
        return torch.tanh(self.first(x.view(len(x), -1)))
"""
_MAKE = """

def network(shape, n_classes):
    return Small(shape, n_classes)
"""
SMALL = _SMALL + _MAKE


def small(forward: str = "", make: str = "", hidden: str = "") -> str:
    """A small network, of which the line that returns logits, that makes it or that returns what is hidden is other."""
    text = SMALL
    if forward:
        text = text.replace("return self.logits(self.hidden(x))", forward)
    if make:
        text = text.replace("return Small(shape, n_classes)", make)
    if hidden:
        text = text.replace("return torch.tanh(self.first(x.view(len(x), -1)))", hidden)
    assert text != SMALL
    return text


def write(folder: Path, text: str = RESNET) -> str:
    """Write code/recipe.py below a folder; the architecture, as `networks.of` takes it."""
    code = folder / "code"
    code.mkdir(parents=True, exist_ok=True)
    (code / "recipe.py").write_text(text)
    return f"own:{code}"


def photos(folder: Path, records: Records) -> None:
    """Write images as PNG files, a folder a class."""
    for row, (image, label) in enumerate(zip(records.images, records.labels, strict=True)):
        path = folder / records.classes[label] / f"{row:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)

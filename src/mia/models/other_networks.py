"""Networks that are no file of mia.models.networks: the user's own `network`, and torchvision's classifiers by name.

A training depends on this file only where its audit names such a network: `digest` holds it, and stands in
data/network.json.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mia import params_faults
from mia.errors import InputError
from mia.models import recipes
from mia.params_audit import OWN, TORCHVISION

if TYPE_CHECKING:  # `split` reads this module, and loads torch only for a name of torchvision's
    from torch import Tensor, nn

CODE = (Path(__file__), Path(recipes.__file__))
SIDES = (8, 16, 24, 28, 32, 48, 64, 75, 96, 128, 160, 192, 224, 299)  # of images, tried for the least that fits


def of(name: str) -> Own | Torchvision:
    """The class of networks that a name stands for: `own:FOLDER`, `torchvision:NAME` or `torchvision:NAME:PARAMS`.

    Raises InputError where torchvision has no such classifier.
    """
    kind, _, rest = name.partition(":")
    if kind == OWN:
        return Own(Path(rest))
    of_torchvision, _, settings_file = rest.partition(":")
    place = f"{settings_file}: target.architecture" if settings_file else "target.architecture"
    return Torchvision(of_torchvision, place, _builder(of_torchvision, place))


def digest(name: str) -> str:
    """The sha256 of all that a network is made with, hexadecimal: the folder code, or the file of torchvision's."""
    network = of(name)
    made_with = recipes.digest(network.folder) if isinstance(network, Own) else _file_digest(network.file)
    code = (_file_digest(file) for file in CODE)
    return hashlib.sha256("\n".join([made_with, *code]).encode()).hexdigest()


@dataclass(frozen=True)
class Own:
    """What `network(shape, n_classes)` in a folder's recipe.py makes, whatever its layers."""

    folder: Path
    SMALLEST = 1

    @property
    def place(self) -> str:
        """How messages name it."""
        return f"{self.folder / recipes.FILE}: network"

    def __call__(self, shape: tuple[int, int, int], n_classes: int) -> nn.Module:
        """Return a new network, which is given images in the order of memory that torch documents.

        Raises InputError where the code fails, or returns anything else than a network.
        """
        from torch import nn

        make = _function(self.folder, self.folder.resolve(), _file_digest(self.folder / recipes.FILE))
        try:
            made = make(shape, n_classes)
        except Exception as error:
            raise InputError(f"{self.place}(shape={shape}, n_classes={n_classes}): {_words(error)}") from error
        if not isinstance(made, nn.Module):
            raise InputError(f"{self.place}: expected a torch.nn.Module, got {type(made).__name__}; return the network")
        if _plain not in made._forward_pre_hooks.values():
            made.register_forward_pre_hook(_plain)
        return made

    def unfit(self, shape: tuple[int, int, int], n_classes: int, error: Exception) -> InputError:
        """Say that the network cannot take images of this shape."""
        return InputError(f"{self.place}: cannot take images of {_by(shape)}: {_words(error)}")


@dataclass(frozen=True)
class Torchvision:
    """A classifier of torchvision's, without weights. Grey images are given to all three of its channels.

    GoogLeNet and Inception come without their second output, ViT and MaxViT for images of this size.
    setting: where its name stands, for messages.
    """

    name: str
    setting: str
    builder: Callable[..., nn.Module]
    SMALLEST = 1

    @property
    def place(self) -> str:
        """How messages name it."""
        return f"{self.setting}: {TORCHVISION}{self.name}"

    @property
    def file(self) -> Path:
        """The file that it is written in."""
        return Path(str(sys.modules[self.builder.__module__].__file__))

    def __call__(self, shape: tuple[int, int, int], n_classes: int) -> nn.Module:
        """Return a new network with weights of its own initialisation.

        Raises InputError where it cannot be made for images of this shape.
        """
        if shape[2] not in (1, 3):
            raise InputError(f"{self.place}: takes grey images or images in colour, got {shape[2]} channels")
        try:
            made = self.builder(weights=None, num_classes=n_classes, **self._options(shape))
        except ValueError as error:  # of ViT and MaxViT
            raise self.unfit(shape, n_classes, error) from None
        if shape[2] == 1:
            made.register_forward_pre_hook(_in_three_channels)
        return made

    def unfit(self, shape: tuple[int, int, int], n_classes: int, error: Exception) -> InputError:
        """Say that the network cannot take images of this shape, and which it can."""
        least = next((side for side in SIDES if side > min(shape[:2]) and self._takes(side, n_classes)), None)
        larger = f"set data.size to [{least}, {least}] where data.source is images, or " if least else ""
        return InputError(
            f"{self.place}: cannot take images of {_by(shape)} ({_words(error)}); {larger}choose another architecture"
        )

    def _options(self, shape: tuple[int, int, int]) -> dict[str, Any]:
        if self.name in ("googlenet", "inception_v3"):
            return {"aux_logits": False, "init_weights": True}
        if self.name.startswith("vit_"):
            if shape[0] != shape[1]:
                raise ValueError("expected images as wide as high")
            return {"image_size": shape[0]}
        return {"input_size": shape[:2]} if self.name.startswith("maxvit_") else {}

    def _takes(self, side: int, n_classes: int) -> bool:
        from torch import device, empty, inference_mode

        try:
            with device("meta"), inference_mode():  # shapes alone
                self((side, side, 3), n_classes).eval()(empty(2, 3, side, side))
        except Exception:
            return False
        return True


@cache  # of one class are then several networks that are trained in the same steps
def _function(folder: Path, _place: Path, _digest: str) -> Callable[..., Any]:
    return recipes.function(folder, "network")


def _builder(name: str, place: str) -> Callable[..., nn.Module]:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        hint = params_faults.did_you_mean(name, known) or "its documents list them"
        raise InputError(f"{place}: torchvision has no classifier {params_faults.short(name)}; {hint}")
    builder: Callable[..., nn.Module] = models.get_model_builder(name)
    return builder


def _plain(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Images in memory as `view` needs them: channels, rows, columns."""
    return tuple(images.contiguous() for images in given)


def _in_three_channels(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(images.expand(-1, 3, -1, -1) for images in given)


def _by(shape: tuple[int, int, int]) -> str:
    height, width, channels = shape
    return f"{width}x{height}{' in grey' if channels == 1 else ''}"


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes() if path.is_file() else b"").hexdigest()


def _words(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

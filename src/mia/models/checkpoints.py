"""Trained models on disk: safetensors for weights, JSON for what they are, a digest that ties the two."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from mia import params_audit
from mia.errors import MEND, InputError
from mia.models import building, networks
from mia.params_audit import OWN, TORCHVISION, Scaling
from mia.store import atomic, sealed_json

FORMAT = 2


@dataclass(frozen=True)
class Description:
    """What a stored model is. shape: (height, width, channels) of its images. scaling: as of `building.create`.

    architecture: as `networks.of` takes it; on disk without the folder of the user's code.
    """

    model_id: int
    architecture: str
    shape: tuple[int, int, int]
    n_classes: int
    scaling: Scaling | None = None
    sha256: str = ""  # of the weights file
    format: int = FORMAT


def weights(model: nn.Module) -> bytes:
    """A model's weights as the content of a safetensors file; what two layers share is stored for both."""
    return safetensors.torch.save(apart(model.state_dict()))


def apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU in memory of their own, as safetensors wants them."""
    return {
        name: value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, value in tensors.items()
    }


def save(folder: Path, trained: Sequence[tuple[Description, bytes]]) -> None:
    """Write models, their descriptions and weights, to a folder, all or none: `ID.safetensors` and `ID.json` each."""
    with atomic.folder(folder) as temporary:
        for description, content in trained:
            described = {
                **asdict(description),
                "architecture": networks.kind(description.architecture),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
            (temporary / f"{description.model_id}.safetensors").write_bytes(content)
            (temporary / f"{description.model_id}.json").write_text(sealed_json.seal(described))


def ids(folder: Path) -> list[int]:
    """The model_id of every model in a folder, in order.

    Raises InputError where there is none.
    """
    numbers = sorted(int(path.stem) for path in folder.glob("*.safetensors") if path.stem.isdigit())
    if not numbers:
        raise InputError(f"{folder}: no model; `dvc pull {folder}` fetches it, `dvc repro` trains it")
    return numbers


@dataclass(frozen=True)
class Stored:
    """A model as it was read: content is its safetensors file, whose digest was compared."""

    path: Path
    description: Description
    content: bytes


def load(folder: Path, model_id: int, code: Path | None = None) -> nn.Module:
    """Read one model, on the CPU; arguments and errors as of `read` and `build`."""
    return build(read(folder, model_id, code))


def read(folder: Path, model_id: int, code: Path | None = None) -> Stored:
    """Read one model's files. code: the folder of the user's code, without which a network of it cannot be built.

    Raises InputError where a file is missing, damaged, or of another format.
    """
    path = folder / f"{model_id}.safetensors"
    again = _again(folder)
    description_path = folder / f"{model_id}.json"
    try:
        content, text = path.read_bytes(), description_path.read_text()
        described = sealed_json.parse(text)
        if not isinstance(described, dict) or described.get("format") != FORMAT:
            got = described.get("format") if isinstance(described, dict) else described
            raise InputError(f"{description_path}: expected model format {FORMAT}, got {got!r}; {again}")
        described = sealed_json.unseal(text)
        scaling = described.get("scaling")
        if scaling is not None:
            mean, deviation = scaling
            scaling = tuple(map(float, mean)), tuple(map(float, deviation))
        description = Description(**{**described, "shape": tuple(described["shape"]), "scaling": scaling})
        height, width, channels = description.shape
        for number in (height, width, channels, description.n_classes):
            if not isinstance(number, int) or number < 1:
                raise TypeError(f"expected whole numbers of at least 1, got {number!r}")
    except FileNotFoundError as error:
        raise InputError(
            f"{error.filename}: no such file; `dvc pull {folder}` fetches it, `dvc repro` trains it"
        ) from None
    except InputError:
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{description_path}: not the description of a model ({error}); {again}") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != description.sha256:
        raise InputError(f"{path}: expected sha256 {description.sha256}, got {digest}: damaged; {MEND}")
    other = description.architecture == OWN or str(description.architecture).startswith(TORCHVISION)
    if not other and description.architecture not in (known := params_audit.architectures()):
        raise InputError(
            f"{path}: expected an architecture of {', '.join(known)}, got {description.architecture!r}; {again}"
        )
    if description.architecture == OWN and code is not None:
        description = replace(description, architecture=f"{OWN}:{code}")
    return Stored(path, description, content)


def build(stored: Stored) -> nn.Module:
    """The model, on the CPU.

    Raises InputError where its weights do not fit its description.
    """
    description = stored.description
    if description.architecture == OWN:
        raise InputError(
            f"{stored.path}: a network of the user's own, whose code is not at hand; {_again(stored.path.parent)}"
        )
    try:
        if building.size(description.architecture, description.shape, description.n_classes) > 9 * len(stored.content):
            raise RuntimeError("they are far fewer")  # before memory is taken for a billion classes
        model = building.create(
            description.architecture, description.shape, description.n_classes, seed=0, scaling=description.scaling
        )
        model.load_state_dict(safetensors.torch.load(stored.content))
    except (RuntimeError, TypeError, OverflowError, SafetensorError) as error:
        raise InputError(
            f"{stored.path}: weights do not fit {description}: {' '.join(str(error).split())}; "
            f"{_again(stored.path.parent)}"
        ) from None
    return model


def begin(models: Sequence[nn.Module], path: Path) -> None:
    """Give models of one architecture the weights of a safetensors file; what it leaves out stays as it was drawn.

    Raises InputError where there is no such file, or it holds what the models do not have, or of another shape.
    """
    try:
        initial = safetensors.torch.load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: target.initial: no file of safetensors ({error}); write it anew") from None
    own = models[0].state_dict()
    if unknown := sorted(initial.keys() - own.keys()):
        raise InputError(
            f"{path}: target.initial: expected weights of the network's {len(own)} names ({_some(sorted(own))}), got "
            f"{_some(unknown)}; rename them, or leave them out of the file"
        )
    for name, value in initial.items():
        if value.shape != own[name].shape or value.is_floating_point() != own[name].is_floating_point():
            raise InputError(
                f"{path}: target.initial: {name}: expected {_kind(own[name])}, got {_kind(value)}; leave it out of the "
                "file to let it begin at random"
            )
        if not torch.isfinite(value.float()).all():
            raise InputError(f"{path}: target.initial: {name}: expected finite numbers; write the file anew")
    if not initial:
        raise InputError(f"{path}: target.initial: expected weights, got none; write them, or set it to null")
    for model in models:
        model.load_state_dict(initial, strict=False)


def _kind(value: Tensor) -> str:
    return f"{value.dtype} of {' x '.join(map(str, value.shape)) or 'one number'}".removeprefix("torch.")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _again(folder: Path) -> str:
    return f"`dvc checkout {folder}` restores it, `dvc repro` trains it anew"

"""Trained models on disk: safetensors for weights, JSON for what they are, a digest that ties the two."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import nn

from mia import params_audit
from mia.errors import MEND, InputError
from mia.models import building
from mia.params_audit import Scaling
from mia.store import atomic, sealed_json

FORMAT = 2


@dataclass(frozen=True)
class Description:
    """What a stored model is. shape: (height, width, channels) of its images. scaling: as of `building.create`."""

    model_id: int
    architecture: str
    shape: tuple[int, int, int]
    n_classes: int
    scaling: Scaling | None = None
    sha256: str = ""  # of the weights file
    format: int = FORMAT


def weights(model: nn.Module) -> bytes:
    """A model's weights as the content of a safetensors file."""
    return safetensors.torch.save(
        {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    )


def save(folder: Path, trained: Sequence[tuple[Description, bytes]]) -> None:
    """Write models, their descriptions and weights, to a folder, all or none: `ID.safetensors` and `ID.json` each."""
    with atomic.folder(folder) as temporary:
        for description, content in trained:
            described = {**asdict(description), "sha256": hashlib.sha256(content).hexdigest()}
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


def load(folder: Path, model_id: int) -> nn.Module:
    """Read one model, on the CPU; errors as of `read` and `build`."""
    return build(read(folder, model_id))


def read(folder: Path, model_id: int) -> Stored:
    """Read one model's files.

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
        scaling = described.get("scaling") and tuple(tuple(map(float, values)) for values in described["scaling"])
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
    if description.architecture not in (known := params_audit.architectures()):
        raise InputError(
            f"{path}: expected an architecture of {', '.join(known)}, got {description.architecture!r}; {again}"
        )
    return Stored(path, description, content)


def build(stored: Stored) -> nn.Module:
    """The model, on the CPU.

    Raises InputError where its weights do not fit its description.
    """
    description = stored.description
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


def _again(folder: Path) -> str:
    return f"`dvc checkout {folder}` restores it, `dvc repro` trains it anew"

"""Which file in audits/NAME/model is the trained model, by its suffix, and which files are refused."""

from __future__ import annotations

from pathlib import Path

from mia.errors import InputError
from mia.models import recipes

PREPROCESSING = ".preprocessing.skops"  # of XGBoost and LightGBM, as mia.models.kept_models writes it
RULE = (
    "expected a trained model: .onnx, .skops, .safetensors, XGBoost's .ubj or .json, LightGBM's .txt, or a folder that "
    "load(path) in code/recipe.py reads"
)
OWN = "own code"
KINDS = {
    ".onnx": "ONNX",
    ".skops": "skops",
    ".ubj": "XGBoost",
    ".json": "XGBoost",
    ".txt": "LightGBM",
    ".safetensors": "safetensors",
}
CONVERT = {
    ".pkl": "skops.io.dump(model, 'model.skops')",
    ".pickle": "skops.io.dump(model, 'model.skops')",
    ".joblib": "skops.io.dump(joblib.load('{name}'), 'model.skops')",
    ".pt": "safetensors.torch.save_model(model, 'model.safetensors')",
    ".pth": "safetensors.torch.save_model(model, 'model.safetensors')",
}


def files_of(place: Path) -> list[Path]:
    """The file that a place is, or the files of the folder that it is, by name."""
    return [place] if place.is_file() else [path for path in sorted(place.iterdir()) if path.is_file()]


def file(place: Path, code: Path) -> Path:
    """What is read of a place: the model's file, or the whole place where the user's own code reads it.

    Raises InputError for a pickle, for several models, and for what nothing reads.
    """
    files = files_of(place)
    for path in files:
        if line := CONVERT.get(path.suffix):
            raise InputError(
                f"{path}: a pickle runs code when it is read, and is not read here; write the model anew: "
                f"`{line.format(name=path.name)}`"
            )
    if recipes.has(code, "load"):
        return place
    models = _known(files)
    if len(models) > 1:
        raise InputError(f"{place}: expected one model, got {', '.join(path.name for path in models[:5])}; leave one")
    if not models:
        raise InputError(f"{place}: {RULE}, got {', '.join(path.name for path in files[:5]) or 'nothing'}")
    return models[0]


def passed_over(place: Path, code: Path) -> Path | None:
    """The file that would be read if the user's `load` did not read the place; None: none, or it is read."""
    models = _known(files_of(place))
    return models[0] if models and recipes.has(code, "load") else None


def _known(files: list[Path]) -> list[Path]:
    """Those of a known kind; JSON and texts only where nothing else is."""
    known = [path for path in files if path.suffix in KINDS and not path.name.endswith(PREPROCESSING)]
    return [path for path in known if path.suffix not in (".json", ".txt")] or known


def kind(path: Path) -> str:
    """What a file of `file` is called."""
    return KINDS.get(path.suffix, OWN)

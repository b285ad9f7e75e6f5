"""Where everything lies, relative to the repository root, which is where stages run.

`dvc.yaml` repeats these names; a test keeps the two equal, so a path changed here changes the stage there.
"""

import os
from pathlib import Path

import platformdirs

from mia.errors import InputError

PARAMS = Path("params.yaml")
AUDITS = Path("audits")

POPULATION = Path("data/population")
ATTACKER = Path("data/attacker")
TARGET_MEMBERSHIP = Path("data/membership/target.parquet")
ALL_SHADOW_MEMBERSHIP = Path("data/membership/shadows")
DATA_METRICS = Path("metrics/data.json")

NETWORK = Path("data/network.json")
MODEL = Path("data/model.json")
GIVEN = Path("data/given.json")
TARGET_MODEL = Path("models/target")
TARGET_LEARNING = Path("data/learning/target.parquet")
TARGET_SIGNALS = Path("data/signals/target.parquet")
ALL_SHADOW_LEARNING = Path("data/learning/shadows")
ALL_SHADOW_SIGNALS = Path("data/signals/shadows")

TARGET_FEATURES = Path("data/features/target.parquet")
SHADOW_FEATURES = Path("data/features/shadows.parquet")
MARGINS = Path("data/margins.parquet")
TARGET_METRICS = Path("metrics/target.json")
SHADOW_METRICS = Path("metrics/shadows.json")
LEARNING_CURVES = Path("plots/learning.csv")

SELECTION = Path("metrics/selection.json")
LEADERBOARD = Path("plots/leaderboard.csv")
ATTACK_MODEL = Path("models/attack")
STACKED_MODEL = Path("models/stacked")
QUANTILES = Path("data/quantiles.parquet")
IMITATIONS = Path("data/imitations")
TARGET_SCORES = Path("data/target_scores.parquet")
SCORES = Path("data/scores.parquet")
EXPOSURE = Path("data/exposure.parquet")
NOT_APPLICABLE = Path("metrics/not_applicable.json")

VERDICT = Path("metrics/verdict.json")
SUMMARY = Path("metrics/summary.json")
WITHOUT_SHADOWS = Path("metrics/without_shadows.json")
ATTACK_METRICS = Path("metrics/attacks.json")
ROC_CURVES = Path("plots/roc.csv")
SCORE_HISTOGRAM = Path("plots/scores.csv")
CONFUSION = Path("plots/confusion.csv")
COMPARISONS = Path("plots/comparisons.csv")
CLASSES = Path("plots/classes.csv")

AUDIT_PAGE = Path("reports/audit.html")

OVERVIEW_FIGURE = Path("plots/overview.png")
LEAK_FIGURE = Path("plots/leak.png")
ROC_FIGURE = Path("plots/roc.png")
SCORE_FIGURE = Path("plots/scores.png")
CONFUSION_FIGURE = Path("plots/confusion.png")
LEARNING_FIGURE = Path("plots/learning.png")
LEADERBOARD_FIGURE = Path("plots/leaderboard.png")
COMPARISON_FIGURE = Path("plots/comparisons.png")
CLASSES_FIGURE = Path("plots/classes.png")


def audit(name: str) -> Path:
    """The folder of one audit: its params.yaml, its data."""
    return AUDITS / name


def shadow_models(block: int | str) -> Path:
    """The folder with the trained models of one block."""
    return Path(f"models/shadows/{block}")


def shadow_membership(block: int | str) -> Path:
    """What one block's models were trained on, and what was held out."""
    return ALL_SHADOW_MEMBERSHIP / f"{block}.parquet"


def shadow_learning(block: int | str) -> Path:
    """The learning curves of one block's models."""
    return ALL_SHADOW_LEARNING / f"{block}.parquet"


def shadow_signals(block: int | str) -> Path:
    """The answers of one block's models."""
    return ALL_SHADOW_SIGNALS / f"{block}.parquet"


def shared(kind: str) -> Path:
    """A folder outside the repository, the same for all its clones and for the copies that `dvc exp run --temp` makes.

    Below $MIA_CACHE, or where that is unset or empty below the user's cache folder.

    Raises InputError where $MIA_CACHE is relative: each copy would have its own.
    """
    named = os.environ.get("MIA_CACHE") or platformdirs.user_cache_dir("membership-inference-audit", appauthor=False)
    if not Path(named).is_absolute():
        raise InputError(f"MIA_CACHE: expected an absolute path, got {named!r}; correct it or unset it")
    return Path(named, kind)


def brought(path: Path, rule: str) -> Path:
    """A file or folder that the user brought into an audit's folder; of a link, what it leads to.

    Raises InputError with the rule where nothing is there but .gitkeep.
    """
    if is_brought(path):
        return path.resolve() if path.is_symlink() else path
    copy = "; this copy holds only what git and DVC track: make it a link to an absolute path, or `dvc add` it"
    raise InputError(f"{path}: {rule}{copy if in_copy() else ''}")


def is_brought(path: Path) -> bool:
    """Whether a file or folder in an audit's folder holds more than .gitkeep."""
    return path.is_file() or (path.is_dir() and any(entry.name != ".gitkeep" for entry in path.iterdir()))


def in_copy() -> bool:
    """Whether stages run in a copy of the repository, which `dvc exp run --temp` and queue workers make."""
    return ".dvc/tmp/exps/" in Path.cwd().as_posix()

"""Shadow training beside a peer's: the Adversarial Robustness Toolbox (ART), the same models, records and epochs.

python benchmarks/peers.py [--models 4] [--records 4000] [--epochs 10] [--batch-size 128] [--rounds 2]
                                          [--env .venv-peers] [--out FILE.json]

ART runs in a virtual environment of its own, which is made where `--env` says (5 GB with torch; ignored by git) with
the torch, NumPy, SciPy and scikit-learn that we have, and is kept. Both sides train the CNN of Shokri et al. 2017 on
half of the records a model, drawn apart for each, and ask each model about its members and the rest: ART by
ShadowModels.generate_shadow_dataset with a PyTorchClassifier, ours by workers.spread(training.train) and models.logits.
ART fixes 10 epochs of batches of 128 there, which are the defaults here; others reach it by a subclass whose `fit` has
other defaults. ART is handed float32 images, normalised and channels first, which is not timed; ours starts from uint8,
starts its processes and measures held-out images after each epoch within its time. Importing is not timed.

Each side runs in a process of its own without a GPU, once a round, in turn; its best round counts. Records are made up:
a faint pattern a class in much noise, so that a model remembers what it was trained on and is right on most of the
rest. About equal accuracies on both say that the same work was done.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

ART = "1.20.1"
BESIDE = ["packaging"]  # ART imports it and does not say so
SAME = ["torch", "numpy", "scipy", "scikit-learn"]  # in both environments
N_CLASSES = 10
RATE = 0.001
CONTRAST = 3.0  # of the patterns, where the noise has 50: 2,000 records teach a model to be right on 78 % of others


class Measured(NamedTuple):
    """What one side took and did: seconds, models' mean accuracies, records asked over all models, and versions."""

    seconds: float
    train_accuracy: float
    heldout_accuracy: float
    members: int
    nonmembers: int
    versions: dict[str, str]
    threads: int


def made_up(records: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images uint8 (records, 32, 32, 3) and labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, N_CLASSES, records)
    patterns = np.kron(rng.normal(size=(N_CLASSES, 8, 8, 3)), np.ones((1, 4, 4, 1)))
    images = 127.5 + CONTRAST * patterns[labels] + rng.normal(0, 50, (records, 32, 32, 3))
    return images.clip(0, 255).astype(np.uint8), labels


def versions(*names: str) -> dict[str, str]:
    """Installed versions; torch's with what it was built for."""
    return {name: importlib.metadata.version(name) for name in names} | {"torch": torch.__version__}


# -- the peer: no import of ours, as it runs elsewhere -----------------------------------------------------------------


class Network(nn.Module):
    """The CNN as one writes it down."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.dense = nn.Linear(64 * 8 * 8, 128)
        self.logits = nn.Linear(128, N_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (batch, classes)."""
        hidden = nn.functional.max_pool2d(torch.tanh(self.conv1(images)), 2)
        hidden = nn.functional.max_pool2d(torch.tanh(self.conv2(hidden)), 2)
        logits: Tensor = self.logits(torch.tanh(self.dense(hidden.flatten(1))))
        return logits


def peer(images: NDArray[np.uint8], labels: NDArray[np.int64], given: argparse.Namespace) -> Measured:
    """ART's shadows."""
    from art.attacks.inference.membership_inference import ShadowModels  # type: ignore[import-not-found]
    from art.estimators.classification import PyTorchClassifier  # type: ignore[import-not-found]

    class Classifier(PyTorchClassifier):  # type: ignore[misc]
        def fit(self, x: Any, y: Any, **settings: Any) -> None:
            super().fit(x, y, batch_size=given.batch_size, nb_epochs=given.epochs, **settings)

    torch.manual_seed(0)
    inputs = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32) / np.float32(127.5) - 1
    network = Network()
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    template = Classifier(
        network, nn.CrossEntropyLoss(), inputs.shape[1:], N_CLASSES, optimizer=optimizer, device_type="cpu"
    )
    start = time.perf_counter()
    shadows = ShadowModels(template, num_shadow_models=given.models, random_state=0)
    answers = shadows.generate_shadow_dataset(inputs, labels, member_ratio=0.5)
    seconds = time.perf_counter() - start
    (train, members), (heldout, nonmembers) = (
        (float((logits.argmax(1) == true).mean()), len(logits)) for _, true, logits in answers
    )
    known = versions("adversarial-robustness-toolbox", *SAME)
    return Measured(seconds, train, heldout, members, nonmembers, known, torch.get_num_threads())


def environment(folder: Path) -> Path:
    """The Python of a virtual environment with ART, made if it is not there."""
    python = folder / "bin" / "python"
    wanted = {"adversarial-robustness-toolbox": ART}
    wanted |= {name: importlib.metadata.version(name).partition("+")[0] for name in SAME}  # less torch's +cpu
    ready = f"""
import importlib.metadata as m, packaging
assert all(m.version(name).partition("+")[0] == version for name, version in {wanted}.items())
"""
    if python.exists() and subprocess.run([python, "-c", ready], stderr=subprocess.DEVNULL).returncode == 0:
        return python
    if folder.exists() and not (folder / "pyvenv.cfg").exists():
        sys.exit(f"error: {folder} is there and no virtual environment; name another with --env")
    print(f"making {folder}: ART {ART}, torch {wanted['torch']}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    pins = [f"{name}=={version}" for name, version in wanted.items()]
    # As the Makefile makes .venv: pip fetches uv, uv the rest.
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"], check=True)
    uv = [str(folder / "bin" / "uv"), "pip", "install", "--quiet", "--python", str(python)]
    subprocess.run([*uv, *pins, *BESIDE], check=True)
    return python


# -- ours --------------------------------------------------------------------------------------------------------------


def ours(images: NDArray[np.uint8], labels: NDArray[np.int64], given: argparse.Namespace) -> Measured:
    """Our shadows, trained on as many records as ART's and asked about as many."""
    # Here, since ART's environment, which runs this file too, lacks the project.
    import mia.models.checkpoints
    import mia.models.lessons
    import mia.models.training
    from mia.compute import workers
    from mia.models import query
    from mia.params_audit import Recipe

    recipe = Recipe(
        architecture="shokri_cnn",
        epochs=given.epochs,
        batch_size=given.batch_size,
        optimizer="adam",
        learning_rate=RATE,
        schedule="constant",
        momentum=0.9,
        weight_decay=0.0,
        label_smoothing=0.0,
        augmentation=[],
        precision="float32",
    )
    rng = np.random.default_rng(0)
    lessons = []
    for k in range(1, given.models + 1):
        rows = rng.permutation(len(images) - 1)  # ART never draws the last record
        lessons.append(mia.models.lessons.Lesson(k, rows[: len(images) // 2], rows[len(images) // 2 :], k, k, k))

    start = time.perf_counter()
    groups = mia.models.lessons.together(lessons, recipe, 1, compares=False)
    shared = (images, labels, N_CLASSES, recipe, None)
    answers = []
    for (one,) in workers.spread(mia.models.training.train, shared, groups, name="ours", unit="model"):
        stored = mia.models.checkpoints.Stored(Path(), one.description, one.weights)
        answers.append(query.logits(mia.models.checkpoints.build(stored), images[:-1]))
    seconds = time.perf_counter() - start

    right = [logits.argmax(1) == labels[:-1] for logits in answers]
    train, heldout = (
        np.concatenate([of[getattr(one, side)] for of, one in zip(right, lessons, strict=True)])
        for side in ("members", "nonmembers")
    )
    known = versions(*SAME)
    return Measured(
        seconds, float(train.mean()), float(heldout.mean()), len(train), len(heldout), known, torch.get_num_threads()
    )


# -- comparing ---------------------------------------------------------------------------------------------------------


def measured(python: Path, side: str, folder: Path) -> Measured:
    """One side, measured by this program in a process of its own with the same arguments."""
    settings = {key: value for key, value in os.environ.items() if not key.startswith("MIA_")}
    if side == "--peer":
        settings = {key: value for key, value in settings.items() if key != "PYTHONPATH"}
    else:
        settings["GOMP_SPINCOUNT"] = "2000"  # as stages/__init__.py does before torch is imported
    settings |= {"MIA_DEVICE": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([python, __file__, *sys.argv[1:], side, folder], env=settings, check=True)
    return Measured(**json.loads((folder / "measured.json").read_text(encoding="utf-8")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--records", type=int, default=4000, help="a model is trained on half of them")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--env", type=Path, default=Path(".venv-peers"), help="ART's virtual environment")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--peer", type=Path, metavar="FOLDER", help="measure ART here, on the arrays in this folder")
    parser.add_argument("--ours", type=Path, metavar="FOLDER", help="measure ours here, on the arrays in this folder")
    given = parser.parse_args()
    if folder := given.peer or given.ours:
        images, labels = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("images", "labels"))
        found = peer(images, labels, given) if given.peer else ours(images, labels, given)
        (folder / "measured.json").write_text(json.dumps(found._asdict()), encoding="utf-8")
        return

    pythons = {"ART": environment(given.env), "ours": Path(sys.executable)}
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"the machine is busy (load {load:.1f}): no number is fair\n")
    rounds: dict[str, list[Measured]] = {name: [] for name in pythons}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        images, labels = made_up(given.records)
        np.save(folder / "images.npy", images, allow_pickle=False)
        np.save(folder / "labels.npy", labels, allow_pickle=False)
        for number in range(given.rounds):
            for name in reversed(pythons) if number % 2 else pythons:
                rounds[name].append(measured(pythons[name], "--ours" if name == "ours" else "--peer", folder))
    best = {name: min(found, key=lambda one: one.seconds) for name, found in rounds.items()}
    report(given, best)
    if given.out:
        content = {
            "machine": machine(load),
            "settings": {key: getattr(given, key) for key in ("models", "records", "epochs", "batch_size", "rounds")},
            "times_faster": round(best["ART"].seconds / best["ours"].seconds, 2),
            "sides": {
                name: {
                    **one._asdict(),
                    "seconds": round(one.seconds, 2),
                    "train_accuracy": round(one.train_accuracy, 4),
                    "heldout_accuracy": round(one.heldout_accuracy, 4),
                    "rounds": [round(each.seconds, 2) for each in rounds[name]],
                }
                for name, one in best.items()
            },
        }
        given.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def machine(load: float) -> dict[str, str | int | float]:
    """What the numbers depend on besides the code. load: of the last minute before, 0 on a quiet machine."""
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", cpuinfo.read_text() if cpuinfo.exists() else "")
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
        "system": platform.system(),
        "load_before": round(load, 2),
    }


def report(given: argparse.Namespace, best: dict[str, Measured]) -> None:
    """Print what was found as a Markdown table."""
    print(
        f"{given.models} models, {given.epochs} epochs of {given.records // 2} records each in batches of "
        f"{given.batch_size}; ART {ART} beside torch {best['ART'].versions['torch']}, "
        f"ours beside {best['ours'].versions['torch']}\n"
    )
    print("| side | seconds | times faster | train accuracy | held-out accuracy | members asked | non-members asked |")
    print("| --- " + "| ---: " * 6 + "|")
    for name, one in best.items():
        print(
            f"| {name} | {one.seconds:.1f} | {best['ART'].seconds / one.seconds:.1f} | {one.train_accuracy:.3f} | "
            f"{one.heldout_accuracy:.3f} | {one.members} | {one.nonmembers} |"
        )


if __name__ == "__main__":
    main()

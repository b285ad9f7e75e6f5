"""The table of bad inputs: what was done, and the lines that whoever runs the stage as a command then reads.

A case passes if stderr is exactly these lines, the exit code is 1, and every file is as it was: no output touched,
none half-written, nothing temporary left.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import pty
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import termios
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import test_cifake
import test_cifar10
from PIL import Image

import pipeline
import tiny
from mia import paths
from mia.data import cifake, cifar10
from mia.errors import MEND
from mia.models.logits import SIGNALS
from mia.store import parquet

pytestmark = pytest.mark.long

VALUES: dict[str, Any] = {"target.epochs": 2, "select.search_iterations": 1, "estimators.mlp.max_iter": 5}
POPULATION, GENERATED = "audits/images/data/population", "audits/images/data/generated"
FOLDER: dict[str, Any] = {
    "audit": "images",
    "target.epochs": 2,
    "target.batch_size": 32,
    "shadow.train_size": 50,
    "shadow.heldout_size": 50,
}


def again(path: str, makes: str = "makes it anew") -> str:
    return f"`dvc checkout {path}` restores it, `dvc repro` {makes}"


@dataclass(frozen=True)
class Case:
    """What is done to a finished run before a stage is started, and the error that is then said.

    changes: values of params.yaml. said: the lines on stderr, each as a regular expression, `error: ` left out.
    """

    name: str
    stage: str
    said: tuple[str, ...]
    changes: dict[str, Any] | None = None
    done: Callable[[], object] = lambda: None


def cut(name: str) -> Callable[[], object]:
    """The file's second half is lost."""
    return lambda: Path(name).write_bytes(Path(name).read_bytes()[: Path(name).stat().st_size // 2])


def flip(name: str) -> Callable[[], object]:
    """One bit in the middle of the file is another."""

    def do() -> None:
        content = bytearray(Path(name).read_bytes())
        content[len(content) // 2] ^= 1
        Path(name).write_bytes(content)

    return do


def text(name: str, content: str) -> Callable[[], object]:
    return lambda: Path(name).write_text(content)


def params_line(old: str, new: str) -> Callable[[], object]:
    def do() -> None:
        content = Path("params.yaml").read_text()
        assert content.count(old) == 1
        Path("params.yaml").write_text(content.replace(old, new))

    return do


def pickled(name: str) -> Callable[[], object]:
    """A pickle that leaves a file behind when it is loaded, in a model's place."""

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path("loaded").touch, ()

    return lambda: Path(name).write_bytes(pickle.dumps(Payload()))


def nan_in_signals() -> None:
    table = pq.read_table(paths.TARGET_SIGNALS)
    rows = table.column("logits").to_pylist()
    rows[3][1] = float("nan")
    logits = pa.array(rows, table.schema.field("logits").type)
    parquet.write(paths.TARGET_SIGNALS, table.set_column(6, table.schema.field("logits"), logits), SIGNALS)


def write_images(root: Path, per_class: int, seed: int, side: int = 12) -> None:
    """Classes a, b, c of PNG files, noise of a brightness of its own each."""
    rng = np.random.default_rng(seed)
    for label, name in enumerate("abc"):
        (root / name).mkdir(parents=True)
        for number in range(per_class):
            pixels = rng.normal(60 + 60 * label, 40, (side, side, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")


def images(done: Callable[[Path], object]) -> Callable[[], object]:
    """Good folders of images, and then a fault in the first."""

    def do() -> None:
        write_images(Path("audits/images/data/population"), 12, seed=1)
        write_images(Path("audits/images/data/generated"), 12, seed=2)
        done(Path("audits/images/data/population"))

    return do


def one_image(root: Path) -> None:
    """Every class holds one image, again and again."""
    content = (root / "a/0.png").read_bytes()
    for path in root.glob("*/*.png"):
        path.write_bytes(content)


def another_size(root: Path) -> None:
    shutil.copytree(root / "a", root / "d")
    for path in (root / "d").iterdir():
        Image.open(path).resize((13, 13)).save(path)


def cut_archive() -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("train/REAL/0000.jpg")
        member.size = 5000
        archive.addfile(member, io.BytesIO(np.random.default_rng(0).bytes(5000)))
    Path("cifake.tar.gz").write_bytes(packed.getvalue()[:-2000])


def climbing_archive() -> None:
    with zipfile.ZipFile("cifake.zip", "w") as archive:
        archive.writestr("train/REAL/../../../../climbed.jpg", b"x")


CIFAKE = {"audit": "cifake"}
DISJOINT = "params.yaml: attacker.knowledge: disjoint"
CASES = [
    # params.yaml
    Case(
        "a value of another type",
        "split",
        ("audits/digits/params.yaml: target.epochs: expected an integer, got 'three'",),
        {"target.epochs": "three"},
    ),
    Case(
        "a value out of range",
        "split",
        (r"params.yaml: evaluate.fprs.0: expected less than 1, got 1.5",),
        {"evaluate.fprs": [1.5]},
    ),
    Case(
        "a choice that there is not",
        "split",
        ("params.yaml: audit: expected a folder of audits with a params.yaml, got 'imagenet'; .*",),
        {"audit": "imagenet"},
    ),
    Case(
        "a misspelt key",
        "split",
        ("audits/digits/params.yaml: shadow.per_blok: unknown key; did you mean 'per_block'\\?",),
        {"shadow.per_blok": 1},
    ),
    Case(
        "three faults at once, one of them of a data set that is not active",
        "split",
        (
            "audits/digits/params.yaml: target.epochs: expected greater than or equal to 1, got 0",
            r"params.yaml: shadow.blocks: expected distinct block numbers, got \[0, 0\]",
            "params.yaml: query.views: expected 1, 2 or 18, got 3",
        ),
        {"query.views": 3, "target.epochs": 0, "shadow.blocks": [0, 0]},
    ),
    Case(
        "no params.yaml",
        "split",
        ("params.yaml: no such file; run from the repository root, or `git checkout params.yaml`",),
        done=lambda: Path("params.yaml").unlink(),
    ),
    Case(
        "a bracket left open in params.yaml",
        "split",
        (r"params.yaml: not YAML: .*expected ',' or '\]'.*line \d+, column \d+.*",),
        done=text("params.yaml", "seed: [1\ndata: 2\n"),
    ),
    Case(
        "an empty params.yaml",
        "split",
        ("params.yaml: the file: expected a dictionary, got None",),
        done=text("params.yaml", ""),
    ),
    Case(
        "a section removed",
        "split",
        ("params.yaml: attacker: missing; `git diff` shows what was removed",),
        done=params_line("attacker:\n  knowledge: generated", ""),
    ),
    # Inputs of a stage
    Case(
        "records cut short",
        "split",
        (r"data/population/records.parquet: not a whole Parquet file \(.+\); " + MEND,),
        done=cut("data/population/records.parquet"),
    ),
    Case(
        "membership cut short",
        "build_features",
        (r"data/membership/target.parquet: not a whole Parquet file \(.+\); " + MEND,),
        done=cut("data/membership/target.parquet"),
    ),
    Case(
        "signals cut short",
        "build_features",
        (r"data/signals/shadows/1.parquet: not a whole Parquet file \(.+\); " + MEND,),
        done=cut("data/signals/shadows/1.parquet"),
    ),
    Case(
        "features cut short",
        "select_attack",
        (r"data/features/shadows.parquet: not a whole Parquet file \(.+\); " + MEND,),
        done=cut("data/features/shadows.parquet"),
    ),
    Case(
        "scores cut short",
        "evaluate",
        (r"data/scores.parquet: not a whole Parquet file \(.+\); " + MEND,),
        done=cut("data/scores.parquet"),
    ),
    Case(
        "a bit of the scores flipped",
        "evaluate",
        (r"data/scores.parquet: expected sha256 [0-9a-f]{64}, got [0-9a-f]{64}: damaged; " + MEND,),
        done=flip("data/scores.parquet"),
    ),
    Case(
        "a NaN among the signals",
        "build_features",
        (
            r"data/signals/target.parquet: logits: 1 of 7400 numbers are NaN or infinite \(first at value 31\); the "
            "file is damaged, or the model that wrote it diverged: lower its learning_rate; "
            + again("data/signals/target.parquet"),
        ),
        done=nan_in_signals,
    ),
    Case(
        "metrics that are no JSON",
        "report",
        (r"metrics/attacks.json: not JSON \(.+\); delete it, then `dvc repro` makes it anew",),
        done=text("metrics/attacks.json", "[{"),
    ),
    Case(
        "images cut short",
        "train_target",
        (r"data/population: damaged \(.+\); " + MEND,),
        done=cut("data/population/images.npy"),
    ),
    Case(
        "a bit of the images flipped",
        "train_target",
        (
            r"data/population/images.npy: 1 images differ from their sha256 in records.parquet "
            r"\(first: sample \d+\); " + MEND,
        ),
        done=flip("data/population/images.npy"),
    ),
    Case(
        "a bit of a model flipped",
        "query_target",
        ("models/target/0.safetensors: expected sha256 [0-9a-f]{64}, got [0-9a-f]{64}: damaged; " + MEND,),
        done=flip("models/target/0.safetensors"),
    ),
    Case(
        "a pickle in a model's place",
        "query_target",
        ("models/target/0.safetensors: expected sha256 [0-9a-f]{64}, got [0-9a-f]{64}: damaged; " + MEND,),
        done=pickled("models/target/0.safetensors"),
    ),
    Case(
        "a pickle in the attack model's place",
        "score",
        ("models/attack/learned/all.skops: expected sha256 [0-9a-f]{64}, got [0-9a-f]{64}: damaged; " + MEND,),
        {"attacks.run": ["learned"]},
        pickled("models/attack/learned/all.skops"),
    ),
    Case(
        "a bit of the stacked attack's model flipped",
        "score",
        ("models/stacked/all.skops: expected sha256 [0-9a-f]{64}, got [0-9a-f]{64}: damaged; " + MEND,),
        {"attacks.run": ["stacked"]},
        flip("models/stacked/all.skops"),
    ),
    # Stages out of order
    Case(
        "no population yet",
        "split",
        (
            (
                "data/population/records.parquet: no such file; `dvc pull data/population/records.parquet` fetches it, "
                "`dvc repro` makes it"
            ),
        ),
        done=lambda: shutil.rmtree("data/population"),
    ),
    Case(
        "no scores yet",
        "evaluate",
        ("data/scores.parquet: no such file; `dvc pull data/scores.parquet` fetches it, `dvc repro` makes it",),
        done=lambda: Path("data/scores.parquet").unlink(),
    ),
    Case(
        "no target yet",
        "query_target",
        ("models/target/0.safetensors: no such file; `dvc pull models/target` fetches it, `dvc repro` trains it",),
        done=lambda: shutil.rmtree("models/target"),
    ),
    # The user's own images
    Case(
        "no such folder of images",
        "prepare",
        (f"{POPULATION}: expected a folder, an archive or a Parquet file, or a link to one, got nothing",),
        FOLDER,
    ),
    Case(
        "a file that is no image",
        "prepare",
        ("audits/images/data/population: b/3.png: not a PNG, .*, or skip broken ones: data.skip_broken: true",),
        FOLDER,
        images(lambda root: (root / "b/3.png").write_text("<html>")),
    ),
    Case(
        "an empty class",
        "prepare",
        ("audits/images/data/population: d: a folder without files; mend them or take them out",),
        FOLDER,
        images(lambda root: (root / "d").mkdir()),
    ),
    Case(
        "images of two sizes",
        "prepare",
        ("audits/images/data/population: d/0.png: expected 12x12 like 36 of 48 images, got another size .*",),
        FOLDER,
        images(another_size),
    ),
    Case(
        "too few images of a class",
        "prepare",
        (
            (
                f"{POPULATION}: expected at least 13 images in each class, got 12 in 'a' .and 2 more.; add images, "
                "leave the class out or lower min_per_class"
            ),
        ),
        {**FOLDER, "data.min_per_class": 13},
        images(lambda _: None),
    ),
    Case(
        "a class that only the population has",
        "prepare",
        (f"{GENERATED}: lacks the classes 'd'; both need the same classes by name, and images of one shape",),
        FOLDER,
        images(lambda root: shutil.copytree(root / "a", root / "d")),
    ),
    Case(
        "an attacker that is to hold more images than there are",
        "prepare",
        ("audits/images/params.yaml: data.attacker_size: expected at most the 36 images there are, got 37",),
        {**FOLDER, "data.attacker_size": 37},
        images(lambda _: None),
    ),
    Case(
        "a disjoint attacker, and every image is audited",
        "prepare",
        (
            (
                f"{DISJOINT} needs real images outside the population, but all 36 are under audit; set "
                "audits/images/params.yaml: data.split to half and data.population_size below that"
            ),
        ),
        {**FOLDER, "attacker.knowledge": "disjoint"},
        images(lambda _: None),
    ),
    Case(
        "a disjoint attacker, and nothing but copies of audited images is left",
        "prepare",
        (
            (
                f"{DISJOINT} needs real images outside the population, but all 35 are under audit; set "
                "audits/images/params.yaml: data.split to half and data.population_size below that"
            ),
        ),
        {**FOLDER, "attacker.knowledge": "disjoint", "data.population_size": 35},
        images(one_image),
    ),
    # Archives
    Case(
        "an archive cut short",
        "prepare",
        (r"cifake.tar.gz: cut short or damaged \(.+\); download it again or name another",),
        {**CIFAKE, "data.path": "cifake.tar.gz"},
        cut_archive,
    ),
    Case(
        "an archive with a member that climbs out",
        "prepare",
        (
            (
                r"cifake.zip: member 'train/REAL/../../../../climbed.jpg' leads out of the archive; do not use this "
                "archive"
            ),
        ),
        {**CIFAKE, "data.path": "cifake.zip"},
        climbing_archive,
    ),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole tiny experiment has run."""
    return tiny.run_in(tmp_path_factory.mktemp("bad input"), VALUES)


@pytest.fixture
def copy(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to spoil, which is also the current folder."""
    shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def files() -> dict[str, str]:
    """The sha256 of every file in this folder, hidden ones too; of a folder, that it is one."""
    return {
        path.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "a folder"
        for path in Path().rglob("*")
    }


def environment() -> dict[str, str]:
    # PYTHONDONTWRITEBYTECODE, where it is set, would compile all libraries again in every stage: twice the time.
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return given | {"PYTHONPATH": str(pipeline.SRC)}


def start(stage: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(pipeline.SRC / "stage.py"), stage],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_bad_input(copy: Path, case: Case) -> None:
    if case.changes is not None:
        write_unchecked({**VALUES, **case.changes})
    case.done()
    before = files()
    done = start(case.stage)
    said = done.stderr.splitlines()
    assert len(said) == len(case.said), done.stderr
    for line, expected in zip(said, case.said, strict=True):
        assert re.fullmatch(f"error: {expected}", line), line
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert files() == before


def write_unchecked(changes: dict[str, Any]) -> None:
    """params.yaml as tiny.write_params writes it, which also refuses it: that is the stage's part here."""
    try:
        tiny.write_params(paths.PARAMS, changes)
    except ValueError:
        return


def test_no_two_bad_inputs_have_one_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.fault("disk full while a stage writes")
@pytest.mark.parametrize(
    ("stage", "output"),
    [("split", "data/membership/target.parquet"), ("evaluate", "metrics/attacks.json"), ("evaluate", "plots/roc.csv")],
)
def test_a_full_disk_is_one_line_and_leaves_nothing(copy: Path, stage: str, output: str) -> None:
    """The kernel says so itself: the name that the stage writes to before it renames leads to /dev/full.

    exec keeps the process number, which is part of that name.
    """
    before = files()
    folder, name = os.path.split(output)
    command = f'ln -s /dev/full "{folder}/.{name}.$$" && exec "$0" -m stages.{stage}'
    done = subprocess.run(["sh", "-c", command, sys.executable], env=environment(), capture_output=True, text=True)
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("evaluate: ")]
    assert re.fullmatch(
        r"error: No space left on device.*: nothing is left half-written; mend that, then `dvc repro`",
        line,
    )
    assert done.returncode == 1
    assert files() == before


@pytest.mark.fault("disk full while a stage writes")
@pytest.mark.parametrize("stage", ["prepare", "train_target"])
def test_a_folder_that_does_not_fit_is_one_line_and_leaves_nothing(copy: Path, stage: str) -> None:
    """Files may not grow beyond 10 kB here, which the images and the weights do.

    Nor may compiled Python files, which Python 3.11 would leave cut short without a word.
    """
    before = files()
    command = f'ulimit -f 20 && PYTHONDONTWRITEBYTECODE=1 exec "$0" -m stages.{stage}'
    done = subprocess.run(["sh", "-c", command, sys.executable], env=environment(), capture_output=True, text=True)
    assert re.fullmatch(
        r"error: File too large \(.*\): nothing is left half-written; mend that, then `dvc repro`\n", done.stderr
    )
    assert done.returncode == 1
    assert files() == before


@pytest.mark.fault("`kill -9` or Ctrl-C amid a training")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_training_cut_short_leaves_nothing_and_the_next_run_is_as_if_it_had_not_been(
    copy: Path, sent: signal.Signals
) -> None:
    tiny.write_params(paths.PARAMS, {**VALUES, "target.epochs": 5000})
    undisturbed = tiny.digests("train_target")
    before = files()
    terminal, its_end = pty.openpty()
    termios.tcsetwinsize(its_end, (24, 120))
    with subprocess.Popen(
        [sys.executable, str(pipeline.SRC / "stage.py"), "train_target"], env=environment(), stderr=its_end
    ) as training:
        os.close(its_end)
        said = b""
        while b"test accuracy" not in said:  # the bar tells of an epoch that is over
            said += os.read(terminal, 4096)
        training.send_signal(sent)
        try:
            while more := os.read(terminal, 4096):
                said += more
        except OSError:  # the other end is closed
            pass
    os.close(terminal)
    assert b"Traceback" not in said
    if sent == signal.SIGINT:
        assert training.returncode == 130
        last = said.decode().splitlines()[-1].rpartition("\r")[2]
        assert last == "interrupted: nothing is left half-written; `dvc repro` starts this stage again"
    else:
        assert training.returncode == -signal.SIGKILL
    assert files() == before

    tiny.run("train_target", changes=VALUES)
    assert tiny.digests("train_target") == undisturbed


def test_a_folder_of_images_is_audited_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_images(Path("audits/images/data/population"), 40, seed=1)
    write_images(Path("audits/images/data/generated"), 40, seed=2)
    tiny.run(changes={**VALUES, **FOLDER})
    assert json.loads(paths.DATA_METRICS.read_text()) == {
        "population": 120,
        "attacker": 120,
        "classes": 3,
        "dropped_nonmember_twins": 0,
        "dropped_attacker_twins": 0,
        "population_duplicates": 0,
        "attacker_duplicates": 0,
    }
    assert json.loads((paths.POPULATION / "classes.json").read_text())["classes"] == ["a", "b", "c"]
    records = pd.read_parquet(paths.POPULATION / "records.parquet")
    assert records["name"][0] == "a/0.png"
    stored = np.load(paths.POPULATION / "images.npy")
    for row in (0, 50, 119):
        original = Image.open(Path("audits/images/data/population", records["name"][row]))
        np.testing.assert_array_equal(stored[row], np.asarray(original))
    summary = json.loads(paths.SUMMARY.read_text())
    assert (summary["members"], summary["nonmembers"]) == (60, 60)
    assert json.loads(paths.SHADOW_METRICS.read_text())["test_accuracy"] > 0.5  # of three classes, told by brightness
    assert paths.LEAK_FIGURE.stat().st_size > 1000


def test_cifake_in_small_is_read_split_as_published_trained_on_and_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    test_cifake.write_folder(Path("cifake"), test_cifake.images())
    expected = test_cifake.published(test_cifake.images())
    monkeypatch.setattr(cifake, "load", partial(cifake.load, expected=expected))
    changes = {
        "audit": "cifake",
        "data.path": "cifake",
        "target.epochs": 1,
        "shadow.per_block": 1,
        "shadow.train_size": 10,
        "shadow.heldout_size": 5,
    }
    stages = ["prepare", "split", "train_target", "train_shadows", "query_target", "query_shadows", "build_features"]
    tiny.run(*stages, changes={**VALUES, **changes})
    membership = pd.read_parquet(paths.TARGET_MEMBERSHIP)
    records = pd.read_parquet(paths.POPULATION / "records.parquet")
    assert membership["is_member"].tolist() == records["name"].str.startswith("train/").tolist()
    assert membership["is_member"].sum() == test_cifake.TRAIN
    assert records["name"].str.contains("/REAL/").all()
    assert pd.read_parquet(paths.ATTACKER / "records.parquet")["name"].str.contains("/FAKE/").all()
    assert len(pd.read_parquet(paths.SHADOW_FEATURES)) == 2 * (10 + 5)
    asked = pd.read_parquet(paths.MARGINS).groupby(["model_id", "source"]).size()
    assert asked.to_dict() == {
        (model_id, source): count for model_id in (1, 2) for source, count in (("attacker", 31), ("population", 31))
    }


def test_cifar10_in_small_is_the_population_and_cifakes_generated_half_the_attackers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    published = test_cifar10.published(test_cifar10.write(Path("cifar10")))
    monkeypatch.setattr(cifar10, "load", partial(cifar10.load, expected=published))
    test_cifake.write_folder(Path("cifake"), test_cifake.images())
    expected = test_cifake.published(test_cifake.images())
    monkeypatch.setattr(cifake, "load", partial(cifake.load, expected=expected))
    changes = {"audit": "cifar10", "data.path": "cifar10", "data.cifake_path": "cifake"}
    tiny.run("prepare", "split", changes=changes)
    assert capsys.readouterr().err == (
        "warning: only the generated images are JPEG, so shadows and target also differ in compression\n"
    )
    found = json.loads(paths.DATA_METRICS.read_text())
    assert (found["population"], found["attacker"], found["classes"]) == (42, 31, 10)
    membership = pd.read_parquet(paths.TARGET_MEMBERSHIP)
    assert membership["is_member"].tolist() == [True] * 35 + [False] * 7
    assert pd.read_parquet(paths.ATTACKER / "records.parquet")["name"].str.contains("/FAKE/").all()

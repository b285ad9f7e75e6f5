"""CIFAKE (Bird & Lotfi 2024): CIFAR-10 as JPEG, and as many images that Stable Diffusion 1.4 made."""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mia import progress
from mia.data import archives, downloads
from mia.data.cifar10 import CLASSES
from mia.data.records import Records
from mia.errors import InputError

SIDE = 32
MAX_FILE_BYTES = 1 << 16  # the largest published file has 1,187


@dataclass(frozen=True)
class Published:
    """What was published, and where.

    train, test: images in each of REAL and FAKE. digest: sha256 of the listing of all images, sorted by path,
    one line each as `sha256sum` prints it ("sha256  train/REAL/0000.jpg"). url: a zip of them.
    """

    train: int
    test: int
    digest: str
    url: str


# The digest was taken from the author's repository, jordan-bird/CIFAKE-Real-and-AI-Generated-Synthetic-Images
# at commit e112a942abaecd02b6b1f6f646c807d56be8fb62. Downloaded is Kaggle's copy in a fixed version: GitHub
# packs its archives anew on each request, with no fixed checksum and no resuming. The digest pins the content
# of either.
CIFAKE = Published(
    train=50_000,
    test=10_000,
    digest="ea9f7d74b64f6b14d969c95be945064fb1148ca73b17916bedcbde515b36baee",
    url="https://www.kaggle.com/api/v1/datasets/download/birdy654/"
    "cifake-real-and-ai-generated-synthetic-images?datasetVersionNumber=3",
)


def load(
    path: Path | None, cache: Path, *, instead: str = "data.path", expected: Published = CIFAKE
) -> tuple[Records, Records]:
    """The real and the generated images, (60000, 32, 32, 3) each, sorted by path whatever they are read from.

    path: a folder or archive that holds {train,test}/{REAL,FAKE}/*.jpg, under other folders or not; None:
    download it to cache. instead: the parameter that sets path.

    Raises InputError where images are missing, too many, or not those published.
    """
    if path is not None:
        return _read(path, expected, f"set {instead} to the whole data set, or to null to download it")
    archive = downloads.fetch(expected.url, cache / "cifake.zip", known_hash=None, instead=instead)
    try:
        return _read(archive, expected, f"the file is removed: run again, or set {instead} to a copy you have")
    except InputError:
        # Kept, it would be taken for good by the next run. Another process may have removed it by now.
        archive.unlink(missing_ok=True)
        raise


def label(name: str) -> int | None:
    """The class by the file's name: "0000 (4).jpg" is CIFAR-10's 4th, label 3, "0000.jpg" its 1st.

    None where the name has another form.
    """
    number = re.fullmatch(r"[0-9]+(?: \(([0-9]+)\))?\.jpg", name)
    if number is None:
        return None
    nth = int(number[1] or 1)
    # No bracket is the first class, so "(1)" is nobody's.
    return nth - 1 if nth <= len(CLASSES) and number[1] not in ("0", "1") else None


def _read(source: Path, expected: Published, then: str) -> tuple[Records, Records]:
    content = _files(source, expected, then)
    places = sorted(content)
    _check_digest(source, places, content, expected, then)
    images = np.empty((len(places), SIDE, SIDE, 3), np.uint8)
    for row, place in enumerate(progress.bar(places, "CIFAKE: decode", unit="image")):
        images[row] = _decode(content.pop(place), f"{source}: {place}", then)
    labels = np.array([label(place.rpartition("/")[2]) for place in places], np.int64)
    names = np.array(places)
    train = np.char.startswith(names, "train/")
    generated = np.char.find(names, "/FAKE/") >= 0
    real, fake = (
        Records(images[rows], labels[rows], CLASSES, train[rows], names[rows]) for rows in (~generated, generated)
    )
    return real, fake


def _files(source: Path, expected: Published, then: str) -> dict[str, bytes]:
    """The content of every image by its path from train or test on; as many in each folder as were published."""
    wanted = {
        f"{split}/{half}": count
        for split, count in (("train", expected.train), ("test", expected.test))
        for half in ("REAL", "FAKE")
    }
    content: dict[str, bytes] = {}
    counts = dict.fromkeys(wanted, 0)
    above = None
    total = sum(wanted.values())
    for place, data in progress.bar(archives.files(source), "CIFAKE: read", total=total, unit="image"):
        *folders, name = place.split("/")
        folder = "/".join(folders[-2:])
        if folder not in wanted or not name.endswith(".jpg"):
            continue
        if above is None:
            above = folders[:-2]
        if above != folders[:-2]:
            raise InputError(f"{source}: holds CIFAKE twice, the second time at {place}; name one of the two")
        if label(name) is None:
            raise InputError(f"{source}: {place}: expected a name like '0000.jpg' or '0000 (4).jpg'; {then}")
        if len(data) > MAX_FILE_BYTES:
            raise InputError(f"{source}: {place}: expected {MAX_FILE_BYTES:,} bytes at most, got {len(data):,}; {then}")
        counts[folder] += 1
        content[f"{folder}/{name}"] = data
    wrong = [
        f"{count:,} in {folder}, got {counts[folder]:,}" for folder, count in wanted.items() if counts[folder] != count
    ]
    if wrong:
        raise InputError(f"{source}: expected {'; '.join(wrong)} (*.jpg); {then}")
    return content


def _check_digest(source: Path, places: list[str], content: dict[str, bytes], expected: Published, then: str) -> None:
    listing = hashlib.sha256()
    for place in places:
        listing.update(f"{hashlib.sha256(content[place]).hexdigest()}  {place}\n".encode())
    if listing.hexdigest() != expected.digest:
        raise InputError(
            f"{source}: not CIFAKE as published: expected sha256 {expected.digest} "
            f"over the list of all images, got {listing.hexdigest()}; {then}"
        )


def _decode(data: bytes, place: str, then: str) -> NDArray[np.uint8]:
    try:
        image = Image.open(io.BytesIO(data), formats=["JPEG"])
        if image.mode != "RGB" or image.size != (SIDE, SIDE):
            raise InputError(f"{place}: expected 32x32 RGB, got {image.width}x{image.height} {image.mode}; {then}")
        image.load()
    except (OSError, SyntaxError) as error:
        raise InputError(f"{place}: not a whole JPEG image; {then}") from error
    return np.asarray(image)

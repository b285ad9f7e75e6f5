"""CIFAR-10 (Krizhevsky 2009), lossless, from its binary version: the Python version is pickles."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from mia.data import archives, downloads
from mia.data.records import Records
from mia.errors import InputError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
RECORD = 1 + 3 * SIDE * SIDE  # the label, then the red, the green and the blue plane, row by row
META = "batches.meta.txt"


@dataclass(frozen=True)
class Published:
    """What was published, and where.

    per_batch: records in each .bin file. digests: sha256 by file name, the test batch last. url, known_hash:
    a .tar.gz of them.
    """

    per_batch: int
    digests: dict[str, str]
    url: str
    known_hash: str


# https://www.cs.toronto.edu/~kriz/cifar.html gives the archive's md5, c32a1d4ab5d03f1284b67883e8d87530. Its sha256
# and those of the files are what torchvision for Ruby checks; several other projects pin the same archive.
CIFAR10 = Published(
    per_batch=10_000,
    digests={
        "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    },
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    known_hash="sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)


def load(path: Path | None, cache: Path, *, instead: str = "data.path", expected: Published = CIFAR10) -> Records:
    """All of CIFAR-10, (60000, 32, 32, 3): the training batches in order, then the test batch.

    path: a folder or archive that holds the .bin files and batches.meta.txt, under other folders or not;
    None: download it to cache. instead: the parameter that sets path.

    Raises InputError where a file is missing, has the wrong size or content, or the classes have other names.
    """
    if path is None:
        path = downloads.fetch(
            expected.url, cache / "cifar-10-binary.tar.gz", known_hash=expected.known_hash, instead=instead
        )
    then = f"set {instead} to the binary version, or to null to download it"
    content = _files(path, expected, then)
    batches = [_batch(path, name, content[name], expected, then) for name in expected.digests]
    rows = np.concatenate(batches)
    planes = rows[:, 1:].reshape(-1, 3, SIDE, SIDE)
    return Records(
        x=np.ascontiguousarray(planes.transpose(0, 2, 3, 1)),
        labels=rows[:, 0].astype(np.int64),
        classes=CLASSES,
        published_train=np.repeat([name != "test_batch.bin" for name in expected.digests], expected.per_batch),
        names=np.array([f"{name}:{row}" for name in expected.digests for row in range(expected.per_batch)]),
    )


def _files(path: Path, expected: Published, then: str) -> dict[str, bytes]:
    """The content of the .bin files and of the list of classes, by name; the classes are those expected."""
    content: dict[str, bytes] = {}
    for place, data in archives.files(path):
        name = PurePosixPath(place).name
        if name in content:
            raise InputError(f"{path}: holds {name} twice, the second time at {place}; name one of the two")
        if name == META or name in expected.digests:
            content[name] = data
    missing = [name for name in (*expected.digests, META) if name not in content]
    if missing:
        raise InputError(f"{path}: expected the binary version of CIFAR-10, {', '.join(missing)} not found; {then}")
    classes = tuple(content[META].decode("utf-8", "replace").split())
    if classes != CLASSES:
        raise InputError(f"{path}: {META}: expected the classes {', '.join(CLASSES)}, got {', '.join(classes)}; {then}")
    return content


def _batch(path: Path, name: str, data: bytes, expected: Published, then: str) -> NDArray[np.uint8]:
    """One .bin file as rows, (per_batch, RECORD): its size, its labels and its digest are right."""
    if len(data) != expected.per_batch * RECORD:
        raise InputError(
            f"{path}: {name}: expected {expected.per_batch:,} records of {RECORD:,} bytes, "
            f"got {len(data):,} bytes; {then}"
        )
    rows = np.frombuffer(data, np.uint8).reshape(-1, RECORD)
    labels = rows[:, 0]
    if labels.max() >= len(CLASSES):
        row = int(np.argmax(labels >= len(CLASSES)))
        raise InputError(f"{path}: {name}: record {row}: expected a label from 0 to 9, got {labels[row]}; {then}")
    digest = hashlib.sha256(data).hexdigest()
    if digest != expected.digests[name]:
        raise InputError(
            f"{path}: {name}: not as published: expected sha256 {expected.digests[name]}, got {digest}; {then}"
        )
    return rows

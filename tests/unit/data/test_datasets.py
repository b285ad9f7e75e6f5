"""A data set on disk is the data set in memory; a damaged one is refused with its place."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from mia.data import stored_records
from mia.data.records import Records
from mia.errors import InputError
from mia.store import sealed_json


def some_images(count: int = 6, published: bool = True) -> Records:
    rng = np.random.default_rng(0)
    return Records(
        x=rng.integers(0, 256, (count, 5, 4, 3), dtype=np.uint8),
        labels=np.arange(count) % 2,
        classes=("cat", "dog"),
        published_train=np.arange(count) < 4 if published else None,
        names=np.array([f"image {row}" for row in range(count)]),
    )


def test_a_set_comes_back_as_it_went_in(tmp_path: Path) -> None:
    data = some_images()
    stored_records.save(tmp_path / "population", data)
    back = stored_records.load(tmp_path / "population")
    np.testing.assert_array_equal(back.images, data.images)
    np.testing.assert_array_equal(back.labels, data.labels)
    np.testing.assert_array_equal(back.published_train, data.published_train)
    np.testing.assert_array_equal(back.names, data.names)
    np.testing.assert_array_equal(back.group, data.group)
    assert back.classes == data.classes
    assert [path.name for path in tmp_path.iterdir()] == ["population"]


def test_the_same_set_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        stored_records.save(tmp_path / name, some_images())
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_byte_identical_images_are_one_group() -> None:
    images = some_images().images
    images[5] = images[1]
    data = dataclasses.replace(some_images(), x=images)
    assert data.group.tolist() == [0, 1, 2, 3, 4, 1]
    assert data.duplicates == 1
    assert data.take(np.array([5, 4, 1])).group.tolist() == [0, 1, 0]


def test_a_flipped_bit_in_an_image_is_refused_with_its_sample(tmp_path: Path) -> None:
    folder = tmp_path / "population"
    stored_records.save(folder, some_images())
    content = bytearray((folder / "images.npy").read_bytes())
    content[-1] ^= 4  # in the last image
    (folder / "images.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"images.npy: 1 images differ from their sha256 .*\(first: sample 5\)"):
        stored_records.load(folder)


def test_images_cut_short_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "population"
    stored_records.save(folder, some_images())
    os.truncate(folder / "images.npy", 200)
    with pytest.raises(InputError, match="damaged .*delete it, let `make verify`"):
        stored_records.load(folder)


def test_a_pickle_named_as_images_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "population"
    stored_records.save(folder, some_images())
    np.save(folder / "images.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="damaged .*Python objects in dtype"):
        stored_records.load(folder)


@pytest.mark.parametrize(
    "text",
    [
        "5",
        "[1, 2]",
        "{",
        sealed_json.seal({}),
        sealed_json.seal({"classes": [1, 2]}),
        sealed_json.seal({"classes": ["one"]}),
    ],
)
def test_class_names_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "population"
    stored_records.save(folder, some_images())
    (folder / "classes.json").write_text(text)
    with pytest.raises(InputError, match="(classes.json: expected a name for each|damaged)"):
        stored_records.load(folder)


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    folder = tmp_path / "population"
    stored_records.save(folder, some_images())
    (folder / "images.npy").unlink()
    with pytest.raises(InputError, match="images.npy: no such file; `dvc checkout"):
        stored_records.load(folder)

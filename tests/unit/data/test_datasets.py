"""A data set on disk is the data set in memory; a damaged one is refused with its place."""

from __future__ import annotations

import dataclasses
import io
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mia.data import folder, stored_records
from mia.data.image_files import Reading
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


def test_images_are_written_as_numpy_writes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_records, "AT_ONCE", 4)
    rows = np.array([9, 2, 3, 4, 0, 7, 8, 1, 5])
    stored_records.save(tmp_path / "some", some_images(10).select(rows))
    content = io.BytesIO()
    np.save(content, some_images(10).images[rows])
    assert (tmp_path / "some" / "images.npy").read_bytes() == content.getvalue()
    stored_records.save(tmp_path / "taken", some_images(10).take(rows))
    for path in (tmp_path / "some").iterdir():
        assert path.read_bytes() == (tmp_path / "taken" / path.name).read_bytes()


def test_a_selection_without_its_published_split_has_none(tmp_path: Path) -> None:
    chosen = some_images().select(np.array([5, 1, 2]))
    stored_records.save(tmp_path / "with", chosen)
    assert stored_records.load(tmp_path / "with").published_train is not None
    stored_records.save(tmp_path / "without", dataclasses.replace(chosen, published=False))
    assert stored_records.load(tmp_path / "without").published_train is None


def test_images_are_read_chosen_written_and_loaded_in_a_quarter_of_their_memory(tmp_path: Path) -> None:
    count, side = 3000, 64
    contents = [encoded(number, side) for number in range(count)]
    kind = pa.struct([("bytes", pa.binary())])
    table = pa.table({"image": pa.array([{"bytes": one} for one in contents], kind), "label": np.arange(count) % 2})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=500)
    del contents, table
    tracemalloc.start()
    try:
        data = folder.load(tmp_path / "x.parquet", min_per_class=1, reading=Reading(room=tmp_path))
        stored_records.save(tmp_path / "half", data.select(np.arange(0, count, 2)))
        back = stored_records.load(tmp_path / "half")
        assert tracemalloc.get_traced_memory()[1] < data.images.nbytes / 4
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(back.images, data.images[::2])
    assert not back.images.flags.writeable
    assert sorted(path.name for path in tmp_path.iterdir()) == ["half", "x.parquet"]


def encoded(number: int, side: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), [number % 256, number // 256, 7], np.uint8)).save(content, "PNG")
    return content.getvalue()


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

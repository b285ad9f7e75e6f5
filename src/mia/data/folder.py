"""The user's own images: a folder or archive with a folder for each class, or Hugging Face's Parquet."""

from __future__ import annotations

import io
import json
import os
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from mia import progress
from mia.data import archives, page_headers
from mia.errors import InputError
from mia.store.records import Records

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
SPLITS = ("train", "test")
MAX_PIXELS = 1 << 20  # 1024x1024: more is a mistake, or an image bomb
MAX_BYTES = 64 << 20  # of a file that holds an image
CLASS_COUNTS = (2, 1000)
NAME_LENGTH = 255  # of a class, as of a folder
ROWS = 1000  # of Parquet, held in memory at a time
MOST_RULES = 10  # told at once

# What Pillow 13 raised over 630,000 images damaged at random; it documents no common class.
DAMAGE = (OSError, SyntaxError, ValueError)


def load(path: Path, *, min_per_class: int) -> Records:
    """Images of one size with their classes' names, classes in natural order (2 before 10).

    path is one of: a folder or archive with CLASS/IMAGE, or with train/CLASS/IMAGE and test/CLASS/IMAGE,
    under one more folder or not, IMAGE a .png, .jpg, .jpeg, .webp or .bmp; a .parquet file, or a folder with
    some, with the columns image or img {bytes, path} and label or fine_label, the classes' names in the
    schema's metadata, or else the labels themselves. published_train: the folders train and test, or Parquet
    files so called (train-00000-of-00001.parquet); None without them.

    An image keeps its pixels as stored, turned by no EXIF tag. Modes 1, P, LA and RGBA become L or RGB where
    nothing is lost; the grey ones of a set become RGB where others are RGB.

    Raises InputError that names the first file of each fault (path, or path:row) and counts the others.
    """
    if path.suffix == ".parquet" or (path.is_dir() and _tables(path)):
        names, images, class_names, train, expected = _parquet(path)
    else:
        names, images, class_names, train, expected = _image_folder(path)
    classes = sorted(expected, key=_natural)
    for name in classes:
        _check_name(path, name)
    if not CLASS_COUNTS[0] <= len(classes) <= CLASS_COUNTS[1]:
        raise InputError(
            f"{path}: expected 2 to 1,000 classes, got {len(classes):,} ({_some(classes)}); "
            "the classes are the folders that the images lie in, or the labels of the table"
        )
    counts = Counter(class_names)
    few = [name for name in classes if counts[name] < min_per_class]
    if few:
        raise InputError(
            f"{path}: expected at least {min_per_class:,} images in each class, "
            f"got {counts[few[0]]:,} in {few[0]!r}"
            f"{_more(few)}; add images, leave the class out or lower min_per_class"
        )
    index = {name: label for label, name in enumerate(classes)}
    return Records(
        images=_stack(path, names, images),
        labels=np.array([index[name] for name in class_names], np.int64),
        classes=tuple(classes),
        published_train=train,
        names=np.array(names),
    )


def _check_name(path: Path, name: str) -> None:
    """A class is named in terminals, tables, figures and the page of `dvc plots`, which takes < for HTML."""
    if not archives.readable(name) or "<" in name or not 0 < len(name) <= NAME_LENGTH:
        raise InputError(
            f"{path}: the class {name[:NAME_LENGTH]!r}: expected a name of 1 to {NAME_LENGTH} characters that can be "
            "shown, and no <; rename it"
        )


def align(a: Records, b: Records, *, place: str = "the second data set") -> Records:
    """b with a's classes: a label means the class of the same name in both.

    Raises InputError where the names of the classes, the size or the channels differ. place: what b is, or
    where.
    """
    missing = [name for name in a.classes if name not in b.classes]
    extra = [name for name in b.classes if name not in a.classes]
    faults = []
    if missing:
        faults.append(f"lacks the classes {_some(missing)}")
    if extra:
        faults.append(f"has classes that the first lacks: {_some(extra)}")
    if a.images.shape[1:] != b.images.shape[1:]:
        faults.append(f"expected images of {_shape(a.images[0])}, got {_shape(b.images[0])}")
    if faults:
        raise InputError(f"{place}: {'; '.join(faults)}; both need the same classes by name, and images of one shape")
    index = np.array([a.classes.index(name) for name in b.classes], np.int64)
    return Records(b.images, index[b.labels], a.classes, b.published_train, b.names)


# names, images, the class of each, published_train, and every class there should be.
Read = tuple[list[str], list[NDArray[np.uint8]], list[str], NDArray[np.bool_] | None, set[str]]


def _image_folder(path: Path) -> Read:
    found: dict[str, NDArray[np.uint8]] = {}
    others = []
    held = 0
    faults: dict[str, list[str]] = {}
    for place, data in progress.bar(archives.files(path), f"{path.name}: read", unit="file"):
        if not place.lower().endswith(SUFFIXES):
            others.append(place)
            continue
        try:
            found[place] = _decode(data)
        except ValueError as error:
            faults.setdefault(str(error), []).append(place)
        else:
            held += found[place].nbytes
            _check_memory(path, len(found), held)
    _refuse(path, faults)
    if not found:
        raise InputError(f"{path}: expected images ({', '.join(SUFFIXES)}) in a folder for each class, found none")

    names = sorted(found)
    folders = {name: name.split("/")[:-1] for name in names}
    above = _above(list(folders.values()))
    inside = {name: parts[above:] for name, parts in folders.items()}
    split = any(len(parts) == 2 and parts[0] in SPLITS for parts in inside.values())
    depth = 2 if split else 1
    for name, parts in inside.items():
        if len(parts) != depth or (split and parts[0] not in SPLITS):
            raise InputError(
                f"{path}: {name}: expected CLASS/IMAGE for every image, or train/CLASS/IMAGE "
                "and test/CLASS/IMAGE for every image; move it or take it out"
            )
    # Files above the classes (a README, a licence) are no images and claim to be none.
    _refuse(
        path,
        {
            f"not an image by its name ({', '.join(SUFFIXES)})": [
                name for name in sorted(others) if len(name.split("/")) > above + depth
            ]
        },
    )
    if path.is_dir():
        _refuse(path, {"a folder without images": _empty(path)})
    class_names = [unicodedata.normalize("NFC", parts[-1]) for parts in inside.values()]
    train = np.array([parts[0] == "train" for parts in inside.values()]) if split else None
    return names, [found[name] for name in names], class_names, train, set(class_names)


def _above(folders: list[list[str]]) -> int:
    """How many folders lie above train and test, or above the classes: those that all images share."""
    above = 0
    while all(len(parts) > above + 1 for parts in folders) and len({parts[above] for parts in folders}) == 1:
        if folders[0][above] in SPLITS:
            break
        above += 1
    return above


def _empty(path: Path) -> list[str]:
    """The folders with no file at all in or under them, hidden ones passed over."""
    inside = [item for item in path.rglob("*") if not archives.hidden(item.relative_to(path).as_posix())]
    parents = {parent for item in inside if item.is_file() for parent in item.parents}
    empty = [item for item in inside if item.is_dir() and item not in parents]
    return sorted(item.relative_to(path).as_posix() for item in empty)


def _tables(path: Path) -> list[Path]:
    files = (file for file in sorted(path.rglob("*.parquet")) if file.is_file())
    return [file for file in files if not archives.hidden(file.relative_to(path).as_posix())]


def _parquet(path: Path) -> Read:
    tables = _tables(path) if path.is_dir() else [path]
    splits = [_split(table.relative_to(path) if table != path else Path(path.name)) for table in tables]
    if any(splits) and not all(splits):
        raise InputError(
            f"{tables[splits.index(None)]}: expected the files of the splits train and test alone, "
            "named as train-*.parquet and test-*.parquet; take it out or rename it"
        )
    names: list[str] = []
    images: list[NDArray[np.uint8]] = []
    class_names: list[str] = []
    train: list[bool] = []
    held = 0
    faults: dict[str, list[str]] = {}
    expected: set[str] = set()
    for table, split in zip(tables, splits, strict=True):
        name = table.relative_to(path).as_posix() if table != path else path.name
        try:
            with pq.ParquetFile(table) as opened:
                image_column, label_column, labels = _columns(table, opened.schema_arrow)
                if table != tables[0] and set(labels or ()) != expected:
                    raise InputError(
                        f"{table}: expected the classes' names of {tables[0]}, got others; write both alike"
                    )
                expected = set(labels or ())
                rows = _rows(opened, table, image_column, label_column)
                total = opened.metadata.num_rows
                for row, (data, label) in enumerate(progress.bar(rows, f"{name}: read", total=total, unit="image")):
                    try:
                        class_names.append(_class_name(label, labels))
                        images.append(_decode(data))
                    except ValueError as error:
                        faults.setdefault(str(error), []).append(f"{name}:{row}")
                        continue
                    names.append(f"{name}:{row}")
                    train.append(split == "train")
                    held += images[-1].nbytes
                    _check_memory(path, len(images), held)
        except FileNotFoundError:
            raise InputError(f"{table}: no such file; correct the path") from None
        except (pa.ArrowException, OSError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"{table}: not a whole Parquet file ({reason}); write it again or name another") from error
    _refuse(path, faults)
    if not names:
        raise InputError(f"{path}: expected rows with images, got none; name another table")
    return names, images, class_names, np.array(train) if all(splits) else None, expected | set(class_names)


def _split(table: Path) -> str | None:
    """The split of a Parquet file: its name begins with it (train-00000.parquet), or its folder has it."""
    begins = re.match(r"(train|test)(?![A-Za-z])", table.name)
    if begins:
        return begins[1]
    return next((part for part in table.parts[:-1] if part in SPLITS), None)


def _columns(table: Path, schema: pa.Schema) -> tuple[str, str, list[str] | None]:
    """The image column, the label column, and the names of the classes where the metadata hold them."""
    image = next((name for name in ("image", "img") if name in schema.names), None)
    label = next((name for name in ("label", "fine_label") if name in schema.names), None)
    if image is None or label is None or len(set(schema.names)) < len(schema.names):
        raise InputError(
            f"{table}: expected the columns image (or img) and label (or fine_label), each once, "
            f"got {_some(schema.names)}; rename them"
        )
    kind = schema.field(image).type
    of_bytes = kind.field("bytes").type if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 else None
    if of_bytes not in (pa.binary(), pa.large_binary()):
        raise InputError(
            f"{table}: column {image}: expected a struct {{bytes: binary, path}}, got {str(kind)!r}; write it so"
        )
    if not pa.types.is_integer(schema.field(label).type):
        raise InputError(f"{table}: column {label}: expected integers, got {schema.field(label).type}; write it so")
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return image, label, [unicodedata.normalize("NFC", str(name)) for name in features[label]["names"]]
    except (KeyError, TypeError, ValueError, RecursionError):
        # Other tools' metadata, or labels that are plain numbers: they name themselves.
        return image, label, None


def _rows(opened: pq.ParquetFile, table: Path, image: str, label: str) -> Iterator[tuple[bytes | None, int | None]]:
    columns = [f"{image}.bytes", label]
    # Each row may hold all of a dictionary again.
    rows = MAX_BYTES // max(1, page_headers.largest_dictionary(opened, table, columns))
    for batch in opened.iter_batches(batch_size=min(max(1, rows), ROWS), columns=columns):
        for picture, number in zip(batch.column(image).to_pylist(), batch.column(label).to_pylist(), strict=True):
            yield (picture or {}).get("bytes"), number


def _class_name(label: int | None, names: list[str] | None) -> str:
    if label is None or label < 0 or (names is not None and label >= len(names)):
        limit = "" if names is None else f" and below {len(names)}"
        raise ValueError(f"expected a label from 0{limit}, got {label}")
    return str(label) if names is None else names[label]


def _decode(data: bytes | None) -> NDArray[np.uint8]:
    """An image as uint8, (height, width, 1 or 3). Raises ValueError with the rule that it breaks."""
    if data is None:
        raise ValueError("expected the image's bytes, got null")
    if len(data) > MAX_BYTES:
        raise ValueError(f"a file may have {MAX_BYTES:,} bytes, this has more")
    with warnings.catch_warnings():
        # The others are about metadata, which nothing here reads.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
            pixels = image.width * image.height
            frames = getattr(image, "n_frames", 1)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ValueError(f"an image may have {MAX_PIXELS:,} pixels, this declares far more") from error
        except DAMAGE as error:
            raise ValueError(f"not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image") from error
        if not 0 < pixels <= MAX_PIXELS:
            raise ValueError(f"an image may have {MAX_PIXELS:,} pixels, this has {image.width}x{image.height}")
        if frames != 1:
            raise ValueError(f"expected one image in a file, got {frames} frames")
        # Pillow reads these as 8 bits and drops the rest. Byte 24 of a PNG is the depth (PNG, section
        # 11.2.1).
        if image.format == "PNG" and data[24] == 16:
            raise ValueError("expected 8 bits a channel, got 16")
        try:
            image.load()
        except DAMAGE as error:
            raise ValueError("cut short or damaged") from error
    if image.mode == "P" or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA"):
        alpha = image.getchannel("A").getextrema()
        if alpha != (255, 255):
            raise ValueError("transparent pixels would be lost; put the image on a background")
        image = image.convert(image.mode[:-1])
    if image.mode == "1":
        image = image.convert("L")
    if image.mode not in ("L", "RGB"):
        raise ValueError(f"expected grey or RGB with 8 bits a channel, got mode {image.mode}")
    return np.asarray(image).reshape(image.height, image.width, -1)


def _stack(path: Path, names: list[str], images: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    (height, width), count = Counter(image.shape[:2] for image in images).most_common(1)[0]
    _refuse(
        path,
        {
            f"expected {width}x{height} like {count:,} of {len(images):,} images, got another size": [
                name for name, image in zip(names, images, strict=True) if image.shape[:2] != (height, width)
            ]
        },
    )
    stacked = np.empty((len(images), height, width, max(image.shape[2] for image in images)), np.uint8)
    for row, image in enumerate(images):
        stacked[row] = image  # a grey image goes to all three channels
    return stacked


def _refuse(path: Path, faults: dict[str, list[str]]) -> None:
    """Raise one InputError for all faults, a rule with the files that break it, if there are any."""
    said = [f"{places[0]}: {rule}{_more(places)}" for rule, places in faults.items() if places]
    if said:
        others = f"; and {len(said) - MOST_RULES:,} more faults" if len(said) > MOST_RULES else ""
        raise InputError(f"{path}: {'; '.join(said[:MOST_RULES])}{others}; mend them or take them out")


def _check_memory(path: Path, count: int, held: int) -> None:
    """Refuse more pixels than this machine can hold, twice for a moment, before the kernel ends what tries."""
    if 2 * held > _memory():
        raise InputError(
            f"{path}: the first {count:,} images are {held / (1 << 30):.3g} GiB of pixels, and twice that is more than "
            "this machine's memory; take smaller images, or fewer"
        )


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _more(items: list[str]) -> str:
    return f" (and {len(items) - 1:,} more)" if len(items) > 1 else ""


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    return f"{shown} and {len(names) - 5:,} more" if len(names) > 5 else shown


def _shape(image: NDArray[np.uint8]) -> str:
    height, width, channels = image.shape
    return f"{width}x{height} with {channels} channel{'s' if channels > 1 else ''}"


def _natural(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Sort key by which 2 comes before 10 and numbers before words; the name keeps "1" and "01" apart."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(False, int(part), "") if part[0] in "0123456789" else (True, 0, part) for part in parts], name

"""Pictures as people have them: each kind made by code, and what reading it does, as docs/images.md says.

    python tests/helpers/image_kinds.py

writes that table anew; tests/unit/data/test_image_kinds.py compares it.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from mia.data import folder, own_images
from mia.data.image_files import Reading
from mia.errors import InputError

DOC = Path(__file__).parents[2] / "docs/images.md"
HEAD = "| kind | keys of `data` | what is done |\n|---|---|---|\n"


def pixels(seed: int, width: int = 6, height: int = 5) -> NDArray[np.uint8]:
    """Colours at random, (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def colour(seed: int, **shape: int) -> Image.Image:
    """An image of them."""
    return Image.fromarray(pixels(seed, **shape))


def grey(seed: int) -> Image.Image:
    """The first channel of them."""
    return Image.fromarray(pixels(seed)[..., 0])


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The image as a file."""
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def translucent(seed: int) -> Image.Image:
    """Colours of which one pixel shows what lies below it."""
    image = colour(seed).convert("RGBA")
    image.putpixel((0, 0), (255, 0, 0, 128))
    return image


def sixteen_bit(seed: int) -> Image.Image:
    """Grey values of 16 bits whose upper 8 are those of `grey`."""
    return Image.fromarray(pixels(seed)[..., 0].astype(np.uint16) * 256 + 7)


def dark(seed: int) -> bytes:
    """A picture of 12 bits in a file of 16."""
    return encoded(Image.fromarray(pixels(seed)[..., 0].astype(np.uint16) * 16))


def turned(seed: int) -> bytes:
    """A JPEG whose EXIF tag says that it lies on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(colour(seed), "JPEG", exif=exif)


def with_frames(seed: int, kind: str) -> bytes:
    """Two pictures in one file."""
    return encoded(colour(seed), kind, save_all=True, append_images=[colour(seed + 100)])


def deep_colour(seed: int) -> bytes:
    """A PNG with 16 bits a channel in colour, which Pillow does not write: by hand."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    values = pixels(seed).astype(">u2") * 256 + 7
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def written(root: Path, files: dict[str, bytes]) -> Path:
    """The files in a folder."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def zipped(root: Path, files: dict[str, bytes]) -> Path:
    """The files in a zip."""
    with zipfile.ZipFile(root.with_suffix(".zip"), "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return root.with_suffix(".zip")


def good(*places: str, count: int = 2) -> dict[str, bytes]:
    """PNGs of two classes, below each place."""
    return {
        f"{place}{name}/{row}.png": encoded(colour(10 * at + row))
        for place in places or ("",)
        for at, name in enumerate(("cat", "dog"))
        for row in range(count)
    }


def pair(make: Callable[[int], bytes], end: str) -> dict[str, bytes]:
    """One image of such a kind in each of two classes."""
    return {f"{name}/1{end}": make(at) for at, name in enumerate(("cat", "dog"))}


STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def table(
    root: Path, labels: Any, *, file: str = "data.parquet", image: str = "image", label: str = "label", **given: Any
) -> Path:
    """Hugging Face's Parquet with a row for each label. given: `images`, a column; `names`, of the classes."""
    rows = [{"bytes": encoded(colour(row)), "path": None} for row in range(len(labels))]
    column = given.get("images", pa.array(rows, STRUCT))
    made = pa.table({image: column, label: labels})
    if "names" in given:
        features = {label: {"names": given["names"], "_type": "ClassLabel"}}
        made = made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(made, root / file)
    return root


def listed(root: Path, rows: str) -> Path:
    """Images a.png to d.png and a list of them."""
    images = {f"{name}.png": encoded(colour(at)) for at, name in enumerate("abcd")}
    return written(root, images | {"list.csv": rows.encode()})


def linked(root: Path, target: str) -> Path:
    """A class folder that is a link."""
    written(root, {"dog/1.png": encoded(colour(1))})
    written(root / ".store" if target == ".store/cat" else root.parent / "elsewhere", {"cat/1.png": encoded(colour(2))})
    (root / "cat").symlink_to(target)
    return root


def of_format(kind: str, end: str) -> Callable[[Path], Path]:
    """What writes an image of a format in each of two classes."""
    return lambda root: written(root, pair(lambda at: encoded(colour(at), kind), end))


@dataclass(frozen=True)
class Kind:
    """A kind of data. make: writes it to a folder and gives the path to read. keys: of `data`, as in params.yaml."""

    name: str
    make: Callable[[Path], Path]
    keys: dict[str, Any] = field(default_factory=dict)

    def outcome(self, folder_for_it: Path) -> str:
        """What reading it does, in words; DATA stands for the path."""
        path = self.make(folder_for_it)
        keys = {**self.keys, **({"size": tuple(self.keys["size"])} if "size" in self.keys else {})}
        try:
            records, account = folder.read(path, min_per_class=1, reading=Reading(**keys))
        except InputError as error:
            return f"refused: `{str(error).replace(str(path), 'DATA').replace(str(folder_for_it), 'DATA')}`"
        height, width, channels = records.images.shape[1:]
        members = records.published_train
        said = "" if members is None else f", {int(members.sum())} of them members"
        classes = ", ".join(records.classes)
        first = f"read: {len(records)} images, {width}x{height}x{channels}, of {classes}{said}"
        return "; ".join([first, *(line.strip() for line in own_images.lines(account))])

    def row(self, folder_for_it: Path) -> str:
        """Its row of the table."""
        keys = ", ".join(f"`{name}: {json.dumps(value).replace(chr(34), '')}`" for name, value in self.keys.items())
        return f"| {self.name} | {keys} | {self.outcome(folder_for_it).replace('|', '/')} |"


JUNK = {"Thumbs.db": b"x", "cat/desktop.ini": b"x", "cat/.DS_Store": b"x", "__MACOSX/cat/._1.png": b"x"}
TEXTS = {"notes.txt": b"x", "cat/1.json": b"{}", "dog/about.md": b"x", "annotations/boxes.xml": b"x"}
MIXED = {"cat/0.png": encoded(colour(0, width=9, height=7)), "dog/9.png": encoded(colour(1, width=4, height=3))}
LARGE = {"cat/9.png": encoded(Image.new("RGB", (1200, 1000)))}
BROKEN = {"cat/8.png": encoded(colour(8))[:-30], "dog/9.png": b""}
MEMBERS = "path,label,member\na.png,cat,true\nb.png,cat,false\nc.png,dog,true\nd.png,dog,false\n"
PERSONS = "path,label,split,person\na.png,cat,train,eve\nb.png,cat,test,bob\nc.png,dog,train,eve\nd.png,dog,test,ann\n"


def files() -> Iterator[Kind]:
    """Kinds of image files."""
    formats = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif", "AVIF": ".avif"}
    for kind, end in formats.items():
        yield Kind(kind, of_format(kind, end))
    yield Kind("JPEG called .jfif", lambda root: written(root, pair(lambda at: encoded(colour(at), "JPEG"), ".JFIF")))
    yield Kind("GIF with several frames", lambda root: written(root, pair(lambda at: with_frames(at, "GIF"), ".gif")))
    yield Kind("animated WebP", lambda root: written(root, pair(lambda at: with_frames(at, "WEBP"), ".webp")))
    yield Kind("animated PNG", lambda root: written(root, pair(lambda at: with_frames(at, "PNG"), ".png")))
    yield Kind("TIFF with several pages", lambda root: written(root, pair(lambda at: with_frames(at, "TIFF"), ".tif")))
    yield Kind(
        "JPEG with a second picture (MPO)", lambda root: written(root, pair(lambda at: with_frames(at, "MPO"), ".jpg"))
    )
    yield Kind("JPEG that an EXIF tag turns", lambda root: written(root, pair(turned, ".jpg")))
    yield Kind("palette", lambda root: written(root, pair(lambda at: encoded(colour(at).quantize(8)), ".png")))
    yield Kind("black and white", lambda root: written(root, pair(lambda at: encoded(grey(at).convert("1")), ".png")))
    yield Kind(
        "opaque alpha channel", lambda root: written(root, pair(lambda at: encoded(colour(at).convert("RGBA")), ".png"))
    )
    yield Kind("translucent pixels", lambda root: written(root, pair(lambda at: encoded(translucent(at)), ".png")))
    yield Kind(
        "CMYK JPEG", lambda root: written(root, pair(lambda at: encoded(colour(at).convert("CMYK"), "JPEG"), ".jpg"))
    )
    yield Kind("16-bit grey", lambda root: written(root, pair(lambda at: encoded(sixteen_bit(at)), ".png")))
    yield Kind("16-bit grey with 12 bits in it", lambda root: written(root, pair(dark, ".png")))
    yield Kind("16-bit colour", lambda root: written(root, pair(deep_colour, ".png")))
    yield Kind(
        "32-bit TIFF", lambda root: written(root, pair(lambda at: encoded(grey(at).convert("F"), "TIFF"), ".tif"))
    )
    yield Kind("grey among colour", lambda root: written(root, good() | {"cat/9.png": encoded(grey(1))}))
    yield Kind("HEIC", lambda root: written(root, good() | {"cat/9.heic": b"x"}))
    yield Kind("mixed sizes", lambda root: written(root, good() | MIXED))
    yield Kind("mixed sizes", lambda root: written(root, good() | MIXED), {"size": [8, 8]})
    yield Kind("above a megapixel", lambda root: written(root, good() | LARGE))
    yield Kind("above a megapixel", lambda root: written(root, good() | LARGE), {"size": [6, 5]})
    yield Kind("broken and empty files", lambda root: written(root, good() | BROKEN))
    yield Kind("broken and empty files", lambda root: written(root, good() | BROKEN), {"skip_broken": True})


def folders() -> Iterator[Kind]:
    """Kinds of folders and archives."""
    three = good("train/", "val/", "test/")
    yield Kind("Thumbs.db, desktop.ini, .DS_Store, __MACOSX", lambda root: zipped(root, good() | JUNK))
    yield Kind("JSON, XML and text beside images", lambda root: written(root, good() | TEXTS))
    yield Kind("`train/` and `test/`", lambda root: written(root, good("train/", "test/")))
    yield Kind("`Train/` and `TESTING/`", lambda root: written(root, good("Train/", "TESTING/")))
    yield Kind("`train/`, `val/` and `test/`", lambda root: written(root, three))
    yield Kind("`train/`, `val/` and `test/`", lambda root: written(root, three), {"splits": {"val": "nonmember"}})
    yield Kind("`train/`, `val/` and `test/`", lambda root: written(root, three), {"splits": {"val": "unused"}})
    yield Kind(
        "`members/` and `others/`",
        lambda root: written(root, good("members/", "others/")),
        {"splits": {"members": "member", "others": "nonmember"}},
    )
    yield Kind("`cat/train/` and `cat/test/`", lambda root: written(root, {
        f"{name}/{split}/1.png": encoded(colour(1)) for name in ("cat", "dog") for split in ("train", "test")
    }))  # fmt: skip
    yield Kind("folders below a class", lambda root: written(root, good() | {"cat/2020/may/9.png": encoded(colour(9))}))
    yield Kind("an image beside the classes", lambda root: written(root, good() | {"9.png": encoded(colour(9))}))
    yield Kind("an empty class", lambda root: (written(root, good()) / "owl").mkdir() or root)  # type: ignore[func-returns-value]
    yield Kind("a class that is a link, inside", lambda root: linked(root, ".store/cat"))
    yield Kind("a class that is a link, to elsewhere", lambda root: linked(root, "../elsewhere/cat"))
    yield Kind("zip", lambda root: zipped(root, good("photos/")))


def tables() -> Iterator[Kind]:
    """Kinds of Hugging Face's Parquet."""
    text = pa.array(["cat", "dog", "cat"])
    rows = pa.array([encoded(colour(row)) for row in range(3)], pa.binary())
    numbers = pa.array([[1, 2], [3, 4], [5, 6]])
    yield Kind("Parquet, labels with names", lambda root: table(root, pa.array([1, 0, 1]), names=["cat", "dog"]))
    yield Kind("Parquet, labels as integers", lambda root: table(root, pa.array([10, 2, 2])))
    yield Kind("Parquet, labels as text", lambda root: table(root, text))
    yield Kind("Parquet, labels as booleans", lambda root: table(root, pa.array([True, False, True])))
    yield Kind("Parquet, labels as a dictionary", lambda root: table(root, text.dictionary_encode()))
    yield Kind("Parquet, labels as floats", lambda root: table(root, pa.array([1.5, 2.5, 1.5])))
    yield Kind("Parquet, images as bytes alone", lambda root: table(root, text, images=rows))
    yield Kind("Parquet, images as lists of numbers", lambda root: table(root, text, images=numbers))
    yield Kind("Parquet, `img` and `labels`", lambda root: table(root, text, image="img", label="labels"))
    yield Kind("Parquet, columns of other names", lambda root: table(root, text, image="foto", label="tier"))
    yield Kind(
        "Parquet, columns of other names",
        lambda root: table(root, text, image="foto", label="tier"),
        {"image_column": "foto", "label_column": "tier"},
    )

    def split(root: Path) -> Path:
        for name in ("train", "validation"):
            table(root, text, file=f"data/{name}-00000-of-00001.parquet")
        return root

    yield Kind("Parquet, train and validation", split)
    yield Kind("Parquet, train and validation", split, {"splits": {"validation": "nonmember"}})
    yield Kind(
        "`save_to_disk` of datasets",
        lambda root: written(root, {"data-00000-of-00001.arrow": b"x", "state.json": b"{}"}),
    )


def lists() -> Iterator[Kind]:
    """Kinds of file lists."""
    keys = {"file_list": "list.csv"}
    yield Kind("CSV with path and label", lambda root: listed(root, "path,label\na.png,cat\nb.png,dog\n"), keys)
    yield Kind("CSV, with member", lambda root: listed(root, MEMBERS), keys)
    yield Kind("CSV, with split and person", lambda root: listed(root, PERSONS), keys)
    yield Kind(
        "CSV, with other columns", lambda root: listed(root, "path,label,width\na.png,cat,6\nb.png,dog,6\n"), keys
    )
    yield Kind("CSV, with a mistyped column", lambda root: listed(root, MEMBERS.replace("member", "memeber")), keys)
    yield Kind("CSV, with an image that is not there", lambda root: listed(root, MEMBERS + "e.png,cat,true\n"), keys)


KINDS = [*files(), *folders(), *tables(), *lists()]


def text() -> str:
    """The table as docs/images.md has it."""
    rows = []
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as place:
            rows.append(kind.row(Path(place) / "data"))
    return HEAD + "\n".join(rows) + "\n"


def main() -> None:
    """Write the table anew; it stands at the end of the file."""
    before, head, _ = DOC.read_text(encoding="utf-8").partition(HEAD)
    assert head, f"no table in {DOC}"
    DOC.write_text(before + text(), encoding="utf-8")


if __name__ == "__main__":
    main()

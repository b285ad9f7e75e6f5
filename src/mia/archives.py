"""The files of a folder, a zip or a tar archive, one after another, in memory, never unpacked to disk."""

from __future__ import annotations

import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

from mia.errors import InputError

MEBIBYTE = 1 << 20
TAR_BLOCK = 512
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
TarMode = Literal["r:", "r:gz", "r:bz2", "r:xz"]
COMPRESSED_MAGIC: dict[bytes, TarMode] = {b"\x1f\x8b": "r:gz", b"BZh": "r:bz2", b"\xfd7zXZ\x00": "r:xz"}

# What the standard library raises over archives that are cut short, damaged, encrypted or of an unknown
# compression; it documents no common class.
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # NotImplementedError with it
    UnicodeDecodeError,
)


def files(source: Path, *, max_bytes: int = 64 * MEBIBYTE) -> Iterator[tuple[str, bytes]]:
    """Yield (path inside the source with forward slashes, content) for every file, hidden ones passed over.

    A folder's files come sorted, an archive's in its own order. Hidden: any part of the path starts with a
    dot, or is __MACOSX.

    Raises InputError where the source is neither a folder nor a zip or tar archive; is cut short or damaged;
    holds a link that leads out (an archive: any link), a device, a path that climbs out, the same path twice,
    or a file of more than max_bytes, which is refused by its declared size, before it is read.
    """
    try:
        if not source.exists():
            raise InputError(f"{source}: expected a folder or a .zip or .tar archive, found nothing; correct the path")
        if source.is_dir():
            yield from _folder(source, max_bytes)
            return
        with source.open("rb") as opened:
            head = opened.read(TAR_BLOCK)
    except OSError as error:
        raise InputError(
            f"{error.filename or source}: cannot be read ({error.strerror}); mend it or take it out"
        ) from error
    compressed = [mode for magic, mode in COMPRESSED_MAGIC.items() if head.startswith(magic)]
    if head.startswith(ZIP_MAGIC):
        members = _zip(source, max_bytes)
    elif compressed or head[257:262] == b"ustar":
        members = _tar(source, compressed[0] if compressed else "r:", max_bytes)
    else:
        raise InputError(
            f"{source}: expected a folder or a .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz archive, "
            f"got a file that begins with {head[:8]!r}; name another"
        )
    seen = set()
    try:
        for path, data in members:
            if path in seen:
                raise InputError(f"{source}: holds {path} twice; pack it again")
            seen.add(path)
            yield path, data
    except DAMAGE as error:
        raise InputError(
            f"{source}: cut short or damaged ({error or type(error).__name__}); download it again or name another"
        ) from error


def hidden(path: str) -> bool:
    """Whether a part of the path starts with a dot or is __MACOSX."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def _within(limit: int, size: int, place: str) -> None:
    if size > limit:
        raise InputError(f"{place}: a file may have {limit:,} bytes, got {size:,}; take it out")


def _folder(source: Path, max_bytes: int) -> Iterator[tuple[str, bytes]]:
    root = source.resolve()

    def fail(error: OSError) -> None:
        raise error

    for folder, folders, names in os.walk(source, onerror=fail):
        # In place: os.walk goes down in this order and not into what was taken out.
        folders[:] = sorted(name for name in folders if not hidden(name))
        for name in folders:
            # os.walk would pass a linked folder over without a word, images and all.
            if Path(folder, name).is_symlink():
                raise InputError(f"{Path(folder, name)}: a link to a folder; put the folder itself there")
        for name in sorted(names):
            file = Path(folder, name)
            if hidden(name):
                continue
            status = file.lstat()
            if stat.S_ISLNK(status.st_mode):
                if not file.resolve().is_relative_to(root):
                    raise InputError(f"{file}: a link that leads out of {source}; put the file itself there")
                status = file.stat()
            if not stat.S_ISREG(status.st_mode):
                raise InputError(f"{file}: neither a file nor a folder; take it out")
            _within(max_bytes, status.st_size, str(file))
            yield file.relative_to(source).as_posix(), file.read_bytes()


def _member(source: Path, name: str) -> str:
    """The path of an archive's member in plain form, refused where it leaves the archive."""
    # Zips made on Windows can hold backslashes, and there "C:" is a root.
    name = name.replace("\\", "/")
    if ".." in name.split("/") or name.startswith("/") or PureWindowsPath(name).drive:
        raise InputError(f"{source}: member {name!r} leads out of the archive; do not use this archive")
    return PurePosixPath(name).as_posix()


def _zip(source: Path, max_bytes: int) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(source) as archive:
        for member in archive.infolist():
            path = _member(source, member.filename)
            if member.is_dir():
                continue
            kind = stat.S_IFMT(member.external_attr >> 16)
            # 0: made where files have no mode.
            if kind not in (0, stat.S_IFREG):
                raise InputError(f"{source}: member {path!r} is a link or a device; pack the files themselves")
            _within(max_bytes, member.file_size, f"{source}: member {path!r}")
            if not hidden(path):
                # zipfile stops at the declared size and then checks the sum, so a false size is damage.
                yield path, archive.read(member)


def _tar(source: Path, mode: TarMode, max_bytes: int) -> Iterator[tuple[str, bytes]]:
    # Not "r:*", whose error tells of every compression that it tried.
    with tarfile.open(source, mode) as archive:
        for member in archive:
            path = _member(source, member.name)
            if member.isdir():
                continue
            if not member.isreg():
                raise InputError(f"{source}: member {path!r} is a link or a device; pack the files themselves")
            _within(max_bytes, member.size, f"{source}: member {path!r}")
            if not hidden(path):
                content = archive.extractfile(member)
                assert content is not None
                yield path, content.read()
        # tarfile takes a header that is cut off or damaged for the end, without a word; the true end is a block
        # of zeros. What follows it is read for the checksum that a compressed file ends with.
        assert archive.fileobj is not None
        archive.fileobj.seek(archive.offset)
        if archive.fileobj.read(TAR_BLOCK) != bytes(TAR_BLOCK):
            raise tarfile.ReadError("no end mark")
        archive.fileobj.read(max_bytes)

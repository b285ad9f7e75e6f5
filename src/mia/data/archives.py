"""The files of a folder, a zip or a tar archive, one after another, in memory, never unpacked to disk."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

from mia.errors import InputError, shown

MEBIBYTE = 1 << 20
TAR_BLOCK = 512
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
COMPRESSED_MAGIC: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
# Of an archive: images hardly shrink, zeros to a millionth. 60,000 images of CIFAKE are 60,000 members.
MAX_MEMBERS = 1_000_000
UNPACKED, RATIO = 1 << 30, 100

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


def files(
    source: Path,
    *,
    max_bytes: int = 64 * MEBIBYTE,
    wanted: Callable[[str], bool] = lambda path: True,
    passed_over: list[str] | None = None,
) -> Iterator[tuple[str, bytes]]:
    """Yield (path inside the source with forward slashes, content) for every file, hidden ones passed over.

    A folder's files come sorted, those of linked folders last, an archive's in its own order. Hidden: any part of the
    path starts with a dot, or is __MACOSX. wanted: files for whose path it is false are passed over too, whatever their
    size, and not read. passed_over: where it is given, the paths of what is passed over are added to it, of a hidden
    folder its own alone.

    A link in a folder is followed to what lies in the same tree; a link to a folder only where no other link led
    there, and not from a linked folder into another: so no tree of links is larger than what it is made of.

    Raises InputError where the source is neither a folder nor a zip or tar archive; is cut short or damaged;
    holds a link that leads out (an archive: any link), a device, a path that climbs out, the same path twice,
    a name with control characters, or a file of more than max_bytes, which is refused by its declared size, before
    it is read; where an archive has more than MAX_MEMBERS or unpacks to more than UNPACKED + RATIO times its size.
    """
    passed = _Passed(wanted, [] if passed_over is None else passed_over)
    try:
        if not source.exists():
            raise InputError(f"{source}: expected a folder or a .zip or .tar archive, found nothing; correct the path")
        if source.is_dir():
            yield from _folder(source, max_bytes, passed)
            return
        with source.open("rb") as opened:
            head = opened.read(TAR_BLOCK)
    except OSError as error:
        raise InputError(
            f"{error.filename or source}: cannot be read ({error.strerror}); mend it or take it out"
        ) from error
    compressed = [opener for magic, opener in COMPRESSED_MAGIC.items() if head.startswith(magic)]
    if head.startswith(ZIP_MAGIC):
        members = _zip(source, max_bytes, passed)
    elif compressed or head[257:262] == b"ustar":
        members = _tar(source, compressed[0] if compressed else Path.open, max_bytes, passed)
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


def readable(name: str) -> bool:
    """Whether it can be shown: nothing in it does to a terminal, or to a table, more than name something."""
    return shown(name) == name and "\n" not in name


def _check_name(name: str, place: Path) -> None:
    if not readable(name):
        raise InputError(f"{place}: the name {name!r} has characters that cannot be shown; rename it")


class _Passed:
    """Which files are passed over, and which were."""

    def __init__(self, wanted: Callable[[str], bool], over: list[str]) -> None:
        self.wanted, self.over = wanted, over

    def passes(self, path: str) -> bool:
        """Whether a file is passed over; it is then counted."""
        if hidden(path) or not self.wanted(path):
            self.over.append(path)
            return True
        return False


class _Budget:
    """What all members of an archive may take together, by what they declare."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.limit = UNPACKED + RATIO * source.stat().st_size

    def check(self, members: int, size: int) -> None:
        """Refuse so many members, or so many bytes of them."""
        if members > MAX_MEMBERS:
            raise InputError(f"{self.source}: an archive may have {MAX_MEMBERS:,} files, got more; pack fewer")
        if size > self.limit:
            raise InputError(
                f"{self.source}: an archive of its size may unpack to {self.limit:,} bytes, got at least {size:,}: "
                "do not use this archive, or unpack it yourself and name the folder"
            )


def _within(limit: int, size: int, place: str) -> None:
    if size > limit:
        raise InputError(f"{place}: a file may have {limit:,} bytes, got {size:,}; take it out")


def _folder(source: Path, max_bytes: int, passed: _Passed) -> Iterator[tuple[str, bytes]]:
    root = source.resolve()
    links: list[Path] = []  # to folders: they are read last
    for place, file in _walk(source, source, passed, links):
        if not passed.passes(place):
            yield place, _content(file, source, root, max_bytes)
    led_to: dict[Path, Path] = {}
    for link in links:
        target = _linked_folder(link, source, root, led_to)
        below: list[Path] = []
        for inside, file in _walk(target, source, passed, below):
            place = f"{link.relative_to(source).as_posix()}/{inside}"
            if not passed.passes(place):
                yield place, _content(file, source, root, max_bytes)
        if below:
            raise InputError(f"{below[0]}: a link to a folder, reached by the link {link}; put the folder itself there")


def _walk(top: Path, source: Path, passed: _Passed, links: list[Path]) -> Iterator[tuple[str, str]]:
    """(path below top, file) of every file, sorted, none of hidden folders; links to folders are put into `links`."""

    def fail(error: OSError) -> None:
        raise error

    for folder, folders, names in os.walk(top, onerror=fail):
        above = Path(folder).relative_to(top).as_posix()
        above = "" if above == "." else f"{above}/"
        passed.over += [above + name for name in folders if hidden(name)]
        # In place: os.walk goes down in this order and not into what was taken out.
        folders[:] = sorted(name for name in folders if not hidden(name))
        for name in folders:
            _check_name(name, source)
        # os.walk would pass a linked folder over without a word, images and all.
        links += [Path(folder, name) for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in sorted(names):
            if not hidden(name):
                _check_name(name, source)
            yield above + name, os.path.join(folder, name)


def _linked_folder(link: Path, source: Path, root: Path, led_to: dict[Path, Path]) -> Path:
    """The folder that a link leads to; led_to: those that links before it led to, each with its link."""
    target = link.resolve()
    if not target.is_relative_to(root):
        raise InputError(f"{link}: a link that leads out of {source}; put the folder itself there")
    if link.parent.resolve().is_relative_to(target):
        raise InputError(f"{link}: a link to a folder that it stands in; take it out")
    if target in led_to:
        raise InputError(f"{link}: a link to where {led_to[target]} leads already; take one of them out")
    led_to[target] = link
    return target


def _content(file: str, source: Path, root: Path, max_bytes: int) -> bytes:
    status = os.lstat(file)
    if stat.S_ISLNK(status.st_mode):
        status = os.stat(file)  # before resolve(), to which a link to itself is no OSError
        if not Path(file).resolve().is_relative_to(root):
            raise InputError(f"{file}: a link that leads out of {source}; put the file itself there")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{file}: neither a file nor a folder; take it out")
    _within(max_bytes, status.st_size, file)
    with open(file, "rb") as opened:
        return opened.read()


def _member(source: Path, name: str) -> str:
    """The path of an archive's member in plain form, refused where it leaves the archive."""
    # Zips made on Windows can hold backslashes, and there "C:" is a root.
    name = name.replace("\\", "/")
    _check_name(name, source)
    if ".." in name.split("/") or name.startswith("/") or PureWindowsPath(name).drive:
        raise InputError(f"{source}: member {name!r} leads out of the archive; do not use this archive")
    return PurePosixPath(name).as_posix()


def _zip(source: Path, max_bytes: int, passed: _Passed) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(source) as archive:
        members = archive.infolist()
        _Budget(source).check(len(members), sum(member.file_size for member in members))
        for member in members:
            path = _member(source, member.filename)
            if member.is_dir():
                continue
            kind = stat.S_IFMT(member.external_attr >> 16)
            # 0: made where files have no mode.
            if kind not in (0, stat.S_IFREG):
                raise InputError(f"{source}: member {path!r} is a link or a device; pack the files themselves")
            if passed.passes(path):
                continue
            _within(max_bytes, member.file_size, f"{source}: member {path!r}")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                # zipfile unpacks the others without a limit: 600 bytes can become gigabytes.
                raise NotImplementedError("That compression method is not supported")
            with archive.open(member) as content:
                # Up to the declared size, and then the sum is checked, so a false size is damage. read() without a
                # size would unpack everything first.
                yield path, content.read(member.file_size + 1)


class _Limited:
    """A stream as tarfile reads it, but never more than `most` bytes at once: headers declare their size too."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.most = stream, MEBIBYTE
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if size > self.most:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self.stream.read(size)


def _tar(source: Path, opener: Callable[..., Any], max_bytes: int, passed: _Passed) -> Iterator[tuple[str, bytes]]:
    budget, size = _Budget(source), 0
    # Not tarfile's own opening, whose error tells of every compression that it tried.
    with opener(source, "rb") as opened, tarfile.open(fileobj=(stream := _Limited(opened)), mode="r:") as archive:  # type: ignore[call-overload]
        for number, member in enumerate(archive, start=1):
            budget.check(
                number, max(member.offset, size)
            )  # what holes of sparse files unpack to lies nowhere in the archive
            path = _member(source, member.name)
            if member.isdir():
                continue
            if not member.isreg():
                raise InputError(f"{source}: member {path!r} is a link or a device; pack the files themselves")
            size += member.size
            if not passed.passes(path):
                _within(max_bytes, member.size, f"{source}: member {path!r}")
                content = archive.extractfile(member)
                assert content is not None
                stream.most = max_bytes
                yield path, content.read()
                stream.most = MEBIBYTE
        # tarfile takes a header that is cut off or damaged for the end, without a word; the true end is a block
        # of zeros. What follows it is read for the checksum that a compressed file ends with.
        opened.seek(archive.offset)
        if opened.read(TAR_BLOCK) != bytes(TAR_BLOCK):
            raise tarfile.ReadError("no end mark")
        opened.read(max_bytes)

"""archives.files: folders, zips and tars give the same files, and nothing that leads out, bursts or is cut short."""

from __future__ import annotations

import io
import os
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mia.data import archives
from mia.errors import InputError

FILES = {"a/one.txt": b"1", "a/two.txt": b"", "b/deep/er.bin": bytes(range(256)) * 40, "top": b"t"}
HIDDEN = {".hidden": b"x", "a/.gitkeep": b"", "a/.DS_Store": b"x", "__MACOSX/a/one.txt": b"x"}
TARS = {"x.tar": "w", "x.tar.gz": "w:gz", "x.tar.bz2": "w:bz2", "x.tar.xz": "w:xz"}


def write_folder(root: Path, files: dict[str, bytes]) -> Path:
    root.mkdir()
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def write_zip(target: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/", b"")
        for name, data in files.items():
            archive.writestr(name, data)
    return target


def write_tar(target: Path, files: dict[str, bytes], mode: str = "w", prefix: str = "./") -> Path:
    with tarfile.open(target, mode) as archive:  # type: ignore[call-overload]
        folder = tarfile.TarInfo(f"{prefix}a")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in files.items():
            member = tarfile.TarInfo(f"{prefix}{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return target


def refused(source: Path, message: str, **arguments: Any) -> None:
    with pytest.raises(InputError, match=rf"\A{re.escape(message)}\Z"):
        list(archives.files(source, **arguments))


def test_a_folder_a_zip_and_every_tar_hold_the_same_files(tmp_path: Path) -> None:
    sources = [write_folder(tmp_path / "x", FILES | HIDDEN), write_zip(tmp_path / "x.zip", FILES | HIDDEN)]
    sources += [write_tar(tmp_path / name, FILES | HIDDEN, mode) for name, mode in TARS.items()]
    for source in sources:
        found = list(archives.files(source))
        assert len(found) == len(FILES), source
        assert dict(found) == FILES, source


def test_a_folder_comes_sorted(tmp_path: Path) -> None:
    names = [name for name, _ in archives.files(write_folder(tmp_path / "x", {"b/z": b"", "b/a": b"", "a/z": b""}))]
    assert names == ["a/z", "b/a", "b/z"]


@given(st.dictionaries(st.text("abcXYZ019 ()ä", min_size=1).map(str.strip).filter(bool), st.binary(), max_size=5))
@settings(max_examples=25)
def test_any_names_and_bytes_survive_zip_and_tar(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("x")
    files = {f"f/{name}": data for name, data in content.items()}
    assert dict(archives.files(write_zip(folder / "x.zip", files))) == files
    assert dict(archives.files(write_tar(folder / "x.tar.gz", files, "w:gz"))) == files


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/etc/out", "..\\out", "C:\\out", "C:/out", "\\out"])
def test_a_member_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    plain = name.replace("\\", "/")
    for source in (
        write_zip(tmp_path / "x.zip", {"ok": b"", name: b"x"}),
        write_tar(tmp_path / "x.tar", {"ok": b"", name: b"x"}, prefix=""),
    ):
        refused(source, f"{source}: member {plain!r} leads out of the archive; do not use this archive")
    assert not (tmp_path.parent / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_link_or_device_in_a_tar_is_refused(tmp_path: Path, kind: bytes) -> None:
    source = tmp_path / "x.tar"
    with tarfile.open(source, "w") as archive:
        member = tarfile.TarInfo("a/link")
        member.type, member.linkname = kind, "one"
        archive.addfile(member)
    refused(source, f"{source}: member 'a/link' is a link or a device; pack the files themselves")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "x.zip"
    with zipfile.ZipFile(source, "w") as archive:
        member = zipfile.ZipInfo("link")
        member.external_attr = 0o120777 << 16
        archive.writestr(member, "/etc/hostname")
    refused(source, f"{source}: member 'link' is a link or a device; pack the files themselves")


def test_a_path_held_twice_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "x.tar"
    with tarfile.open(source, "w") as archive:
        for name in ("a/one", "./a/one"):
            archive.addfile(tarfile.TarInfo(name))
    refused(source, f"{source}: holds a/one twice; pack it again")


def test_a_file_over_the_limit_is_refused_by_its_declared_size(tmp_path: Path) -> None:
    rule = "a file may have 1,000 bytes, got 1,001; take it out"
    for source, place in (
        (write_folder(tmp_path / "x", {"big": bytes(1001)}), f"{tmp_path / 'x' / 'big'}"),
        (write_zip(tmp_path / "x.zip", {"big": bytes(1001)}), f"{tmp_path / 'x.zip'}: member 'big'"),
        (write_tar(tmp_path / "x.tar.xz", {"big": bytes(1001)}, "w:xz"), f"{tmp_path / 'x.tar.xz'}: member 'big'"),
    ):
        refused(source, f"{place}: {rule}", max_bytes=1000)
        assert len(list(archives.files(source, max_bytes=1001))) == 1


def test_a_bomb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    # A header that declares a terabyte, with nothing behind it: whoever reads first sees a cut archive.
    member = tarfile.TarInfo("bomb")
    member.size = 1 << 40
    source = tmp_path / "x.tar"
    source.write_bytes(member.tobuf(tarfile.GNU_FORMAT))
    refused(source, f"{source}: member 'bomb': a file may have 67,108,864 bytes, got 1,099,511,627,776; take it out")


def test_a_zip_that_understates_a_size_is_refused(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "x.zip", {"big": bytes(100_000)})
    true, false = (100_000).to_bytes(4, "little"), (10).to_bytes(4, "little")
    source.write_bytes(source.read_bytes().replace(true, false))
    refused(
        source,
        f"{source}: cut short or damaged (Bad CRC-32 for file 'big'); download it again or name another",
    )


@pytest.mark.parametrize("name", ["x.zip", *TARS])
def test_an_archive_cut_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    files = {f"a/{number}": os.urandom(300) for number in range(20)}
    if name == "x.zip":
        whole = write_zip(tmp_path / name, files).read_bytes()
    else:
        whole = write_tar(tmp_path / name, files, TARS[name]).read_bytes()
    # Up to the end mark, after which a plain tar is padded with zeros that nobody needs.
    end = len(whole.rstrip(b"\0")) if name == "x.tar" else len(whole) - 8
    for size in {*range(600, end, 512), *range(601, end, 577), end}:
        (tmp_path / name).write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cut short or damaged \(.+\); download it again or name another\Z"):
            list(archives.files(tmp_path / name))


@given(st.data())
@settings(max_examples=150)
def test_damage_gives_an_input_error_or_nothing_worse(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("x")
    write: Callable[[], Path] = data.draw(
        st.sampled_from(
            [lambda: write_zip(folder / "x.zip", FILES)]
            + [lambda n=n, m=m: write_tar(folder / n, FILES, m) for n, m in TARS.items()]
        )
    )
    source = write()
    damaged = bytearray(source.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    source.write_bytes(damaged)
    try:
        list(archives.files(source))
    except InputError as error:
        assert str(error).startswith(f"{source}: ")  # noqa: PT017


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "x.zip", {"one": b"1"})
    data = bytearray(source.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    data[6 + data.rindex(b"PK\x03\x04")] |= 1
    source.write_bytes(data)
    with pytest.raises(InputError, match=r"damaged \(File .+ is encrypted, password required for extraction\);"):
        list(archives.files(source))


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tar.bz2", "x.tar.xz"])
def test_damage_in_the_middle_of_compressed_content_is_refused(tmp_path: Path, name: str) -> None:
    source = write_tar(tmp_path / name, {"one": os.urandom(100_000)}, TARS[name])
    data = bytearray(source.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 9] = bytes(9)
    source.write_bytes(data)
    with pytest.raises(InputError, match=r"cut short or damaged \(.+\); download it again or name another\Z"):
        list(archives.files(source))


def test_a_zip_of_unknown_compression_is_refused(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "x.zip", {"one": b"1"})
    data = bytearray(source.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 10] = 97
    data[data.rindex(b"PK\x03\x04") + 8] = 97
    source.write_bytes(data)
    refused(
        source,
        f"{source}: cut short or damaged (That compression method is not supported); download it again or name another",
    )


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "x.zip", {"\u00e9\u00e9": b"1"})
    source.write_bytes(source.read_bytes().replace("\u00e9\u00e9".encode(), b"\xff\xff\xff\xff"))
    with pytest.raises(InputError, match=r"cut short or damaged \('utf-8' codec can't decode .+\); download it again"):
        list(archives.files(source))


def test_nothing_there_and_another_kind_of_file_are_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    refused(missing, f"{missing}: expected a folder or a .zip or .tar archive, found nothing; correct the path")
    other = tmp_path / "x.zip"
    other.write_bytes(b"<html>not here</html>")
    refused(
        other,
        f"{other}: expected a folder or a .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz archive, "
        "got a file that begins with b'<html>no'; name another",
    )


def test_a_link_out_of_a_folder_is_refused_and_one_inside_is_followed(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "x", {"a/one": b"1"})
    (source / "a/two").symlink_to("one")
    assert dict(archives.files(source)) == {"a/one": b"1", "a/two": b"1"}
    (tmp_path / "secret").write_bytes(b"s")
    (source / "a/three").symlink_to(tmp_path / "secret")
    refused(source, f"{source}/a/three: a link that leads out of {source}; put the file itself there")


def test_a_link_to_a_folder_of_the_same_tree_is_followed_once(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "x", {".store/a/one": b"1", ".store/a/b/two": b"2", "c/three": b"3"})
    (source / "a").symlink_to(".store/a")
    passed_over: list[str] = []
    assert dict(archives.files(source, passed_over=passed_over)) == {"a/one": b"1", "a/b/two": b"2", "c/three": b"3"}
    assert passed_over == [".store"]
    (source / "again").symlink_to(".store/a")
    refused(source, f"{source}/again: a link to where {source}/a leads already; take one of them out")


def test_a_link_to_a_folder_that_leads_out_or_round_is_refused(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "x", {"a/one": b"1", "b/c/two": b"2"})
    (source / "b/up").symlink_to("../b")
    refused(source, f"{source}/b/up: a link to a folder that it stands in; take it out")
    (source / "b/up").unlink()
    (source / "b/out").symlink_to(tmp_path)
    refused(source, f"{source}/b/out: a link that leads out of {source}; put the folder itself there")
    (source / "b/out").unlink()
    (source / "b/on").symlink_to("../a")
    (source / "d").symlink_to("b")
    refused(
        source,
        f"{source}/b/on: a link to a folder, reached by the link {source}/d; put the folder itself there",
    )


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "x", {"a/one": b"1"})
    (source / "b").symlink_to("b")
    with pytest.raises(InputError, match=r"x/b: cannot be read \(.+\); mend it or take it out"):
        list(archives.files(source))


def test_what_is_not_wanted_is_not_read_whatever_its_size(tmp_path: Path) -> None:
    content = {"a/one": b"1", "b/.two": b"2", "large": bytes(2000)}
    sources = [write_folder(tmp_path / "x", content), write_zip(tmp_path / "x.zip", content)]
    sources.append(write_tar(tmp_path / "x.tar", content, "w"))
    for source in sources:
        passed_over: list[str] = []
        found = archives.files(source, max_bytes=1000, wanted=lambda name: name != "large", passed_over=passed_over)
        assert dict(found) == {"a/one": b"1"}
        assert sorted(passed_over) == ["b/.two", "large"]


def test_a_link_to_nothing_and_a_pipe_are_refused(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "x", {"a/one": b"1"})
    (source / "b").symlink_to("nothing")
    refused(source, f"{source}/b: cannot be read (No such file or directory); mend it or take it out")
    (source / "b").unlink()
    os.mkfifo(source / "b")
    refused(source, f"{source}/b: neither a file nor a folder; take it out")


def test_a_folder_named_through_a_link_is_read(tmp_path: Path) -> None:
    write_folder(tmp_path / "x", {"a/one": b"1"})
    (tmp_path / "y").symlink_to("x")
    assert dict(archives.files(tmp_path / "y")) == {"a/one": b"1"}

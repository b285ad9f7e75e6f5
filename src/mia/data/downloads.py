"""Files from the network: resumed where they were cut off, checked by their checksum, whole or absent."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import pooch
import requests
from tqdm import tqdm

from mia.errors import InputError

CHUNK = 1 << 16
MAX_BYTES = 1 << 30  # of a file: the largest that is fetched has 170 MB
CONNECT_AND_READ_TIMEOUT = (20, 60)


def fetch(url: str, target: Path, *, known_hash: str | None, instead: str) -> Path:
    """Download url to target, which appears only when complete and right, and return target.

    known_hash: "sha256:..." or "md5:..."; None where the caller checks the content himself. A target that is
    there already is kept if its checksum holds, and fetched anew if not. What came before a connection broke
    stays in target.part, and the next call goes on from there. Of several processes that want the same target
    one fetches it and the others wait. instead: what the user can set to do without the network.

    Raises InputError where the file cannot be fetched, has more than MAX_BYTES, or its checksum is wrong; then no
    target is left.

    pooch does the checksum, the cache and the atomic move, but starts from zero after each cut, hence
    `_resume`. gdown 6.5 resumes, but joins the rest of a changed file to the part of its older self (it
    compares with the validator of the second request, not of the first), and never gets past a part that is
    complete; kagglehub sends no If-Range at all, and serves one site.
    """
    # pooch prints its own advice on known hashes, which is for programmers.
    pooch.get_logger().setLevel(logging.WARNING)
    resume = f"what has come is kept in {_part(target)}: run again to go on from there, or set {instead}"

    def download(url: str, output: str, _: object) -> None:
        _resume(url, _part(target))
        os.replace(_part(target), output)
        _validator(target).unlink(missing_ok=True)

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            pooch.retrieve(url, known_hash=known_hash, fname=target.name, path=target.parent, downloader=download)
    except requests.HTTPError as error:
        raise InputError(
            f"{target}: cannot be fetched from {url}, which answers {error}; "
            f"run again later, or set {instead} to a folder or archive you have"
        ) from error
    except _Refused as error:
        _part(target).unlink(missing_ok=True)
        raise InputError(f"{target}: {url} {error}; set {instead} to a folder or archive you have") from None
    except requests.RequestException as error:
        raise InputError(
            f"{target}: cannot be fetched from {url} ({type(error).__name__}); {resume} to a folder or archive you have"
        ) from error
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror}); make room or correct permissions") from error
    except ValueError as error:
        target.unlink(missing_ok=True)
        raise InputError(
            f"{target}: {error} It came from {url}: run again, or set {instead} to a folder or archive you have"
        ) from error
    return target


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Wait for other processes that fetch target. The lock falls with its process; its empty file stays."""
    lock = filelock.FileLock(target.with_name(target.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        print(f"{target}: another process is fetching it; waiting for that", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


class _Refused(Exception):  # noqa: N818
    """What a server does that no server of these files does."""


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _validator(target: Path) -> Path:
    return target.with_name(target.name + ".part.etag")


def _resume(url: str, part: Path) -> None:
    """Download url to part, from where part ends if the file on the server is still the one it began with.

    Goes on by itself after a broken connection as long as each attempt brings more bytes.

    Raises requests.RequestException where an attempt brings none, HTTPError where the server refuses, _Refused where
    it sends too much.
    """
    longest = 0
    while True:
        try:
            if _attempt(url, part):
                return
            cut: requests.RequestException = requests.ConnectionError(f"{url}: the connection was closed too early")
        except requests.HTTPError:
            raise
        except requests.RequestException as error:
            cut = error
        size = part.stat().st_size if part.exists() else 0
        if size <= longest:
            raise cut
        longest = size


def _attempt(url: str, part: Path) -> bool:
    """One request for what part lacks; True if part is complete then (RFC 9110, sections 13.1.5 and 14)."""
    validator = part.with_name(part.name + ".etag")
    have = part.stat().st_size if part.exists() and validator.exists() else 0
    # The bytes as stored: a compressed transfer has other offsets.
    headers = {"Accept-Encoding": "identity"}
    if have:
        # The rest comes only if the file is unchanged; else all of it, with status 200.
        headers |= {"Range": f"bytes={have}-", "If-Range": validator.read_text(encoding="latin-1")}
    with requests.get(url, headers=headers, stream=True, timeout=CONNECT_AND_READ_TIMEOUT) as response:
        status = response.status_code
        start, total = _content_range(response)
        if have and status == 416 and total == have:
            return True
        if have and (status == 416 or (status == 206 and start != have)):
            # Asked for the rest, the server sends something else: all of it, then.
            part.unlink()
            return _attempt(url, part)
        if not response.ok:
            raise requests.HTTPError(f"{status} {response.reason}", response=response)
        if response.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
            raise _Refused("sends a compressed stream, which was not asked for")
        if not (have and status == 206):
            have = 0
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
            validator.unlink(missing_ok=True)
            part.write_bytes(b"")
            # A weak ETag may not stand in If-Range. With nothing to compare, the part is not resumed.
            tag = response.headers.get("ETag", "W/")
            tag = response.headers.get("Last-Modified", "") if tag.startswith("W/") else tag
            if tag:
                validator.write_text(tag, encoding="latin-1")
        progress = tqdm(desc=part.stem, initial=have, total=total, unit="B", unit_scale=True, leave=False, disable=None)
        with part.open("ab") as opened, progress:
            for chunk in response.iter_content(CHUNK):
                if opened.tell() + len(chunk) > MAX_BYTES:
                    raise _Refused(f"sends more than {MAX_BYTES:,} bytes")
                opened.write(chunk)
                progress.update(len(chunk))
    return total is None or part.stat().st_size == total


def _content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """The first byte and the size of the whole file, as far as the response says (RFC 9110, section 14.4)."""
    header = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", response.headers.get("Content-Range", ""))
    if header is None:
        return None, None
    start, total = (None if number is None else int(number) for number in header.groups())
    return start, total

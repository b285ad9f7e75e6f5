"""downloads.fetch against a real server on this machine that cuts, refuses, changes and forgets."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pooch
import pytest

import tiny
from mia import paths
from mia.data import cifake, cifar10, downloads, sources
from mia.errors import InputError

BODY = np.random.default_rng(0).bytes(500_000)
SHA256 = f"sha256:{hashlib.sha256(BODY).hexdigest()}"


@dataclass
class Site:
    """A server with one file, how it behaves, and what it was asked."""

    url: str = ""
    body: bytes = BODY
    etag: str | None = '"one"'
    modified: str | None = None
    ranges: bool = True
    wrong_range: bool = False
    length: bool = True
    status: int = 200
    cuts: list[int] = field(default_factory=list)  # bytes sent before each broken connection
    holds: int = 0  # requests that get the first half, and the second when `go` is set
    go: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)  # (Range, If-Range)


@pytest.fixture
def site() -> Iterator[Site]:
    state = Site()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/file")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            asked, validator = self.headers.get("Range"), self.headers.get("If-Range")
            state.asked.append((asked, validator))
            start, body = 0, state.body
            if state.status != 200:
                self.send_response(state.status)
                body = b""
            elif asked and state.ranges and validator in (state.etag, state.modified):
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                if start >= len(body):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(body)}")
                    body = b""
                else:
                    start = 0 if state.wrong_range else start
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
                    body = body[start:]
            else:
                self.send_response(200)
            if state.etag:
                self.send_header("ETag", state.etag)
            if state.modified:
                self.send_header("Last-Modified", state.modified)
            if state.length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if state.holds:
                state.holds -= 1
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                state.go.wait(20)
                body = body[len(body) // 2 :]
            if state.cuts:
                self.wfile.write(body[: state.cuts.pop(0)])
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
            else:
                self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_port}/file"
        yield state
        server.shutdown()
        thread.join()


def fetch(site: Site, folder: Path, known_hash: str | None = SHA256) -> Path:
    return downloads.fetch(site.url, folder / "file.zip", known_hash=known_hash, instead="data.x.path")


def left(folder: Path) -> list[str]:
    """What lies in the folder, but for the lock, which is empty and stays."""
    return sorted(file.name for file in folder.iterdir() if file.name != "file.zip.lock")


def test_a_file_arrives_whole_and_alone(site: Site, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = logging.StreamHandler(io.StringIO())
    pooch.get_logger().setLevel(logging.INFO)
    pooch.get_logger().addHandler(said)
    target = fetch(site, tmp_path / "new" / "folder")
    assert target == tmp_path / "new" / "folder" / "file.zip"
    assert target.read_bytes() == BODY
    assert left(target.parent) == ["file.zip"]
    pooch.get_logger().removeHandler(said)
    assert capfd.readouterr() == ("", ""), "nothing is printed where stderr is no terminal"
    assert said.stream.getvalue() == ""


def test_a_redirect_is_followed(site: Site, tmp_path: Path) -> None:
    site.url = site.url.replace("/file", "/moved")
    assert fetch(site, tmp_path).read_bytes() == BODY


def test_a_file_that_is_there_is_not_fetched_again(site: Site, tmp_path: Path) -> None:
    fetch(site, tmp_path)
    fetch(site, tmp_path)
    fetch(site, tmp_path, None)
    assert len(site.asked) == 1


def test_a_file_that_is_there_and_wrong_is_fetched_again(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.zip").write_bytes(b"wrong")
    assert fetch(site, tmp_path).read_bytes() == BODY


def test_md5_is_a_checksum_too(site: Site, tmp_path: Path) -> None:
    assert fetch(site, tmp_path, f"md5:{hashlib.md5(BODY).hexdigest()}").read_bytes() == BODY


@pytest.mark.fault("download cut off, changed or wrong")
def test_a_broken_connection_is_resumed_at_once(site: Site, tmp_path: Path) -> None:
    site.cuts = [200_000, 200_000]
    assert fetch(site, tmp_path).read_bytes() == BODY
    first, second, third = site.asked
    assert first == (None, None)
    for ranged, validator in (second, third):
        assert ranged is not None
        assert int(ranged[6:-1]) > 100_000
        assert validator == '"one"'
    assert left(tmp_path) == ["file.zip"]


@pytest.mark.fault("download cut off, changed or wrong")
def test_a_later_call_goes_on_where_an_earlier_one_gave_up(site: Site, tmp_path: Path) -> None:
    site.cuts = [300_000, 0]
    with pytest.raises(InputError) as caught:
        fetch(site, tmp_path)
    part = tmp_path / "file.zip.part"
    assert re.fullmatch(
        rf"{tmp_path}/file\.zip: cannot be fetched from {site.url} \(\w+Error\); what has come is kept in {part}: "
        r"run again to go on from there, or set data\.x\.path to a folder or archive you have",
        str(caught.value),
    )
    have = part.stat().st_size
    assert 0 < have <= 300_000
    assert part.read_bytes() == BODY[:have]
    assert not (tmp_path / "file.zip").exists()
    site.asked.clear()
    assert fetch(site, tmp_path).read_bytes() == BODY
    assert site.asked == [(f"bytes={have}-", '"one"')]


def stop_halfway(site: Site, folder: Path) -> None:
    site.cuts = [300_000, 0]
    with pytest.raises(InputError):
        fetch(site, folder)
    site.asked.clear()


@pytest.mark.fault("download cut off, changed or wrong")
def test_a_part_of_a_file_that_has_changed_is_not_continued(site: Site, tmp_path: Path) -> None:
    site.body, site.etag = BODY[::-1], '"old"'
    stop_halfway(site, tmp_path)
    site.body, site.etag = BODY, '"new"'
    # Without a checksum, so that nothing but If-Range can tell.
    assert fetch(site, tmp_path, None).read_bytes() == BODY
    assert site.asked[0][1] == '"old"'


def test_a_server_without_ranges_sends_all_of_it_again(site: Site, tmp_path: Path) -> None:
    stop_halfway(site, tmp_path)
    site.ranges = False
    assert fetch(site, tmp_path).read_bytes() == BODY
    assert len(site.asked) == 1


def test_a_server_that_sends_another_range_is_asked_for_all_of_it(site: Site, tmp_path: Path) -> None:
    stop_halfway(site, tmp_path)
    site.wrong_range = True
    assert fetch(site, tmp_path, None).read_bytes() == BODY
    assert site.asked[1] == (None, None)


def test_a_weak_etag_gives_way_to_the_date_and_no_validator_means_no_resuming(site: Site, tmp_path: Path) -> None:
    site.etag, site.modified = 'W/"one"', "Thu, 01 Jan 2026 00:00:00 GMT"
    stop_halfway(site, tmp_path / "date")
    assert fetch(site, tmp_path / "date").read_bytes() == BODY
    assert site.asked[0][1] == "Thu, 01 Jan 2026 00:00:00 GMT"
    site.etag = site.modified = None
    stop_halfway(site, tmp_path / "none")
    assert fetch(site, tmp_path / "none").read_bytes() == BODY
    assert site.asked == [(None, None)]


def test_a_part_does_not_inherit_the_validator_of_an_older_one(site: Site, tmp_path: Path) -> None:
    stop_halfway(site, tmp_path)
    assert left(tmp_path) == ["file.zip.part", "file.zip.part.etag"]
    site.etag = None
    stop_halfway(site, tmp_path)
    assert left(tmp_path) == ["file.zip.part"]


def test_a_rest_of_unknown_length_that_is_cut_off_is_continued(site: Site, tmp_path: Path) -> None:
    stop_halfway(site, tmp_path)
    site.length, site.cuts = False, [100_000]
    assert fetch(site, tmp_path, None).read_bytes() == BODY
    assert len(site.asked) == 2


def test_a_part_that_is_complete_is_taken(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.zip.part").write_bytes(BODY)
    (tmp_path / "file.zip.part.etag").write_text('"one"')
    assert fetch(site, tmp_path).read_bytes() == BODY
    assert site.asked == [(f"bytes={len(BODY)}-", '"one"')]
    assert left(tmp_path) == ["file.zip"]


def test_a_part_longer_than_the_file_is_thrown_away(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.zip.part").write_bytes(BODY + b"more")
    (tmp_path / "file.zip.part.etag").write_text('"one"')
    assert fetch(site, tmp_path, None).read_bytes() == BODY


def test_a_file_of_unknown_length_arrives(site: Site, tmp_path: Path) -> None:
    site.length = False
    assert fetch(site, tmp_path).read_bytes() == BODY


@pytest.mark.fault("download cut off, changed or wrong")
def test_a_wrong_checksum_leaves_nothing_and_says_both(site: Site, tmp_path: Path) -> None:
    site.body = BODY + b"!"
    with pytest.raises(InputError) as caught:
        fetch(site, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/file.zip: SHA256 hash of downloaded file (file.zip) does not match")
    assert f"expected {SHA256} but got {hashlib.sha256(site.body).hexdigest()}. Deleted" in message
    assert message.endswith(f"It came from {site.url}: run again, or set data.x.path to a folder or archive you have")
    assert left(tmp_path) == []


def test_a_refusal_is_told_with_its_status(site: Site, tmp_path: Path) -> None:
    site.status = 404
    with pytest.raises(InputError) as caught:
        fetch(site, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/file.zip: cannot be fetched from {site.url}, which answers 404 Not Found; "
        "run again later, or set data.x.path to a folder or archive you have"
    )
    assert left(tmp_path) == []


def test_no_network_is_told_with_what_to_do_instead(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/file"
        with pytest.raises(InputError) as caught:
            downloads.fetch(url, tmp_path / "file.zip", known_hash=None, instead="data.x.path")
    assert str(caught.value) == (
        f"{tmp_path}/file.zip: cannot be fetched from {url} (ConnectionError); what has come is kept in "
        f"{tmp_path}/file.zip.part: run again to go on from there, "
        "or set data.x.path to a folder or archive you have"
    )


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        downloads.fetch("http://127.0.0.1:9/", tmp_path / "file" / "x", known_hash=None, instead="data.x.path")
    assert str(caught.value) == (
        f"{tmp_path}/file/x: cannot be written (File exists); make room or correct permissions"
    )


@contextmanager
def process(site: Site, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that fetches the file, as a second worker of `dvc queue` does."""
    code = f"from test_downloads import *; fetch(Site({site.url!r}), Path({str(folder)!r}))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.PIPE, text=True) as started:
        try:
            yield started
        finally:
            started.kill()


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_two_processes_that_want_a_file_fetch_it_once(site: Site, tmp_path: Path) -> None:
    site.holds = 1
    with process(site, tmp_path) as first:
        wait_until(lambda: len(site.asked) == 1)
        with process(site, tmp_path) as second:
            assert second.stderr is not None
            said = second.stderr.readline()
            assert said == f"{tmp_path}/file.zip: another process is fetching it; waiting for that\n"
            site.go.set()
            assert second.communicate()[1] == ""
        assert first.communicate()[1] == ""
    assert first.returncode == second.returncode == 0
    assert (tmp_path / "file.zip").read_bytes() == BODY
    assert len(site.asked) == 1


@pytest.mark.fault("download cut off, changed or wrong")
def test_who_waits_for_a_process_that_is_killed_goes_on_with_its_part(site: Site, tmp_path: Path) -> None:
    site.holds = 1
    part = tmp_path / "file.zip.part"
    with process(site, tmp_path) as first:
        wait_until(lambda: part.exists() and part.stat().st_size > 0)
        with process(site, tmp_path) as second:
            assert second.stderr is not None
            assert "waiting" in second.stderr.readline()
            first.kill()
            assert second.wait() == 0
    site.go.set()
    assert (tmp_path / "file.zip").read_bytes() == BODY
    assert [ranged is not None for ranged, _ in site.asked] == [False, True]


def test_all_copies_of_the_repository_share_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def load(_: Path | None, cache: Path, **__: str) -> tuple[None, None]:
        asked.append(cache)
        return None, None

    monkeypatch.setattr(cifake, "load", load)
    monkeypatch.setattr(cifar10, "load", load)
    for copy in ("one", "two"):
        (tmp_path / copy).mkdir()
        monkeypatch.chdir(tmp_path / copy)
        for dataset in ("cifake", "cifar10"):
            audit = tiny.write_params(paths.PARAMS, {"audit": dataset}).audit
            assert audit.data.source != "answers"
            sources.read(audit.data, paths.audit(dataset) / "data", generated=True)
    assert len(asked) == 6
    assert set(asked) == {Path(os.environ["MIA_CACHE"], "downloads")}


def test_the_shared_folder_is_the_users_cache_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIA_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert paths.shared("downloads").parts[-2:] == ("membership-inference-audit", "downloads")
    assert paths.shared("downloads").is_relative_to(tmp_path) or sys.platform != "linux"
    monkeypatch.setenv("MIA_CACHE", "here")
    with pytest.raises(InputError, match=r"^MIA_CACHE: expected an absolute path, got 'here'; correct it or unset it$"):
        paths.shared("downloads")

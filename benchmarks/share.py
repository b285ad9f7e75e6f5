"""Show that a colleague who clones and pulls gets every byte of the committed experiment, and that nothing runs.

    python benchmarks/share.py [--remote REMOTE] [--set OPTION=VALUE ...] [--out FILE.json]

In a temporary folder, a clone of this repository pushes what is committed to a bare git remote and to a DVC remote;
another clone, with an empty cache, pulls; then `dvc repro` must run no stage, and every output must equal the
workspace's. Prints the transcript. Exit code 1, with the reason, where a stage ran or would run (it does not then), a
byte differs, or something cannot be pushed or pulled. Neither this repository nor its configuration nor its remotes
are touched, and its cache is only read.

--remote: the name of a configured remote, `ssh://...`, `s3://...` or a folder; a temporary folder where not given. The
objects go below a new `share-check-...` there, which stays: delete it afterwards. --set: an option of the remote, as
`dvc remote modify` takes it (keyfile=..., endpointurl=...); its value is not printed. --out: seconds and bytes as JSON.
"""

from __future__ import annotations

import argparse
import filecmp
import hashlib
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.config import Config
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
NAME = "share-check"


class NotSharedError(Exception):
    """The experiment is not shared; the message says what differs or what to do."""


@dataclass(frozen=True)
class Person:
    """Somebody's clone, and where the transcript's paths begin."""

    root: Path
    temporary: Path

    def run(self, *command: str, quiet: bool = False, shows: str = r"a^") -> tuple[str, float, int]:
        """Run a command and print it; what it said, its seconds and its exit code. shows: lines to print of it."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        environment |= {  # nothing that this user has shares a cache with the clones
            "DVC_SITE_CACHE_DIR": str(self.temporary / "site" / self.root.name),
            "DVC_GLOBAL_CONFIG_DIR": str(self.temporary / "none"),
            "DVC_SYSTEM_CONFIG_DIR": str(self.temporary / "none"),
            "DVC_NO_ANALYTICS": "1",
        }
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", *command] if command[0] == "dvc" else command,
            cwd=self.root if self.root.is_dir() else self.temporary,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        seconds = time.perf_counter() - began
        if not quiet:
            typed = f"{self.root.name}$ {shlex.join(command)}".replace(str(self.temporary), "...")
            print(f"{typed:60} # {seconds:.1f} s")
            for line in done.stdout.splitlines():
                if re.search(shows, line):
                    print(line)
        return done.stdout, seconds, done.returncode

    def must(self, why: str, *command: str, quiet: bool = False, shows: str = r"a^") -> tuple[str, float]:
        """Run a command that succeeds, or raise NotSharedError with `why` and the end of what it said."""
        said, seconds, code = self.run(*command, quiet=quiet, shows=shows)
        if code:
            lines = [line.strip() for line in said.splitlines() if line.strip() and "Having any troubles?" not in line]
            end = " | ".join(lines[-8:])
            raise NotSharedError(f"`{shlex.join(command)}` failed with {code}: {end or 'it said nothing'}; {why}")
        return said, seconds

    def configure(self, url: str, options: dict[str, str]) -> None:
        """Give the clone the remote and a cache of its own, in its .dvc/config.local."""
        lines = [f"[core]\nremote = {NAME}\n[cache]\ndir = {self.root}/.dvc/cache\n['remote \"{NAME}\"']"]
        lines += [f"{name} = {value}" for name, value in {**options, "url": url, "verify": "true"}.items()]
        (self.root / ".dvc" / "config.local").write_text("\n".join(lines) + "\n")


def git(*arguments: str) -> str:
    """What git says of this repository; it writes nothing."""
    command = ["git", "--no-optional-locks", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise NotSharedError(
            f"`{shlex.join(command)}` failed: {done.stderr.strip()}; run this in a clone of the project"
        )
    return done.stdout


def settings() -> Config:
    """This repository's configuration as DVC reads it, paths resolved."""
    folder = str(ROOT / ".dvc")
    return Config(dvc_dir=folder, local_dvc_dir=folder, validate=False)


def place(remote: str | None, options: dict[str, str], temporary: Path) -> tuple[str, dict[str, str]]:
    """The URL of a new, empty place in a remote, and its options.

    remote: the name of a configured one, a URL or a folder; None: a folder in `temporary`.
    """
    if remote is None:
        return str(temporary / "remote"), options
    if "/" not in remote:
        known = settings().get("remote", {})
        if remote not in known:
            names = ", ".join(known) or "none"
            raise NotSharedError(f"--remote {remote}: expected a URL, a folder or a configured remote ({names})")
        options = {**known[remote], **options}
        remote = options.pop("url")
    return f"{remote.rstrip('/')}/{NAME}-{secrets.token_hex(4)}", options


def outputs(root: Path) -> Iterator[tuple[str, str]]:
    """Path and md5 of every output in dvc.lock."""
    lock = root / "dvc.lock"
    if not lock.is_file():
        raise NotSharedError(
            "dvc.lock is not committed; `dvc repro` makes it, `git add dvc.lock` and `git commit` keep it"
        )
    for stage in YAML(typ="safe").load(lock)["stages"].values():
        for out in stage.get("outs", []):
            yield out["path"], out["md5"]


def take(person: Person) -> tuple[int, int, list[str]]:
    """Copy the committed experiment's objects from this repository's cache, which is only read, to a person's.

    The number of objects and bytes, and the outputs that the cache has not, or not with the right bytes.
    """
    cache = Path(settings().get("cache", {}).get("dir", ROOT / ".dvc" / "cache")) / "files" / "md5"
    tracked = git("ls-files").splitlines()
    copied: dict[str, int] = {}
    lost = []
    for path, md5 in outputs(person.root):
        if any(name == path or name.startswith(f"{path}/") for name in tracked):
            continue  # in git, not in the cache
        wanted = [md5]
        for one in wanted:
            source, target = (folder / one[:2] / one[2:] for folder in (cache, person.root / ".dvc/cache/files/md5"))
            if one in copied:
                continue
            content = source.read_bytes() if source.is_file() else b""
            if hashlib.md5(content).hexdigest() != one.removesuffix(".dir"):
                lost.append(f"{path} ({one}: {'damaged' if source.is_file() else 'missing'})")
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(0o444)
            copied[one] = len(content)
            if one.endswith(".dir"):
                wanted += [entry["md5"] for entry in json.loads(content)]
    return len(copied), sum(copied.values()), lost


def files(path: Path) -> set[str]:
    """Every file at or below a path, relative to it."""
    return {str(one.relative_to(path)) for one in (path.rglob("*") if path.is_dir() else [path]) if one.is_file()}


def compare(root: Path) -> tuple[int, list[str]]:
    """How many files of the outputs that a clone holds were compared with the workspace's, and those that differ."""
    compared, differing = 0, []
    for path in sorted({path for path, _ in outputs(root)}):
        mine, theirs = ROOT / path, root / path
        if theirs.exists():
            for name in sorted(files(mine) | files(theirs)):
                compared += 1
                pair = mine / name, theirs / name
                if not all(one.is_file() for one in pair) or not filecmp.cmp(*pair, shallow=False):
                    differing.append(str(Path(path) / name))
    return compared, differing


def stages(said: str) -> list[str]:
    """The stages that `dvc repro` ran, or with --dry would run."""
    return re.findall(r"^Running stage '(.+)':$", said, re.MULTILINE)


def check(temporary: Path, remote: str | None, options: dict[str, str]) -> dict[str, Any]:
    """Push, clone, pull, reproduce; what was measured.

    Raises NotSharedError where it is not, or where something is in the way.
    """
    dirty = [line[3:] for line in git("status", "--porcelain", "--untracked-files=no").splitlines()]
    if dirty:
        raise NotSharedError(
            f"not committed: {', '.join(dirty)}; a colleague would clone the last commit: "
            "`git commit` what you want to share, or `git stash` it, and check again"
        )
    url, options = place(remote, options, temporary)
    you, colleague = Person(temporary / "you", temporary), Person(temporary / "colleague", temporary)
    you.must("is this a git repository?", "git", "clone", "--quiet", str(ROOT), str(you.root), quiet=True)
    you.configure(url, options)
    count, size, lost = take(you)
    bare = str(temporary / "git")
    you.must("is git installed whole?", "git", "init", "--quiet", "--bare", bare, quiet=True)
    you.must("see what git says", "git", "push", "--quiet", bare, "HEAD:refs/heads/shared")
    said, pushed = you.must(
        "is the remote there, and are its options right?", "dvc", "push", shows=" pushed|up to date"
    )
    you.must("see what git says", "git", "clone", "--quiet", "--branch", "shared", bare, str(colleague.root))
    colleague.configure(url, options)
    why = "`dvc repro` here, `git commit` and check again" if lost else "is the remote whole?"
    if lost:
        why = f"this repository's cache lacks {', '.join(lost)}; {why}"
    said, pulled = colleague.must(why, "dvc", "pull", shows=" fetched|up to date")
    said, _, code = colleague.run("dvc", "repro", "--dry", quiet=True)
    if stages(said):
        raise NotSharedError(
            f"`dvc repro` would run, and was not let: {', '.join(stages(said))}; parameters, code or data are not what "
            "dvc.lock has seen: `dvc repro` here, `git commit` the result and check again (images below audits/ reach "
            "no clone)"
        )
    if code:
        raise NotSharedError(
            f"`dvc repro` would fail: {said.strip().splitlines()[-1]}; what it misses is neither in git nor among the "
            "outputs: who has it not types `dvc repro --allow-missing`, which trusts dvc.lock there"
        )
    said, reproduced = colleague.must("see what it says", "dvc", "repro", shows="up to date|Running")
    changed, _ = colleague.must("see what git says", "git", "status", "--porcelain", shows=".")
    compared, differing = compare(colleague.root)
    print(
        f"{len(stages(said))} stages ran; {compared} files compared with the workspace's, {len(differing)} differ;",
        end=" ",
    )
    print(f"{count} objects, {size:,} bytes, pushed in {pushed:.1f} s, pulled in {pulled:.1f} s")
    if ran := stages(said):
        raise NotSharedError(f"stages ran: {', '.join(ran)}")
    if changed:
        raise NotSharedError(f"`dvc repro` changed files of git: {' '.join(changed.split())}")
    if differing:
        raise NotSharedError(
            f"not the workspace's bytes: {', '.join(differing)}; `dvc status` says whether the workspace has left "
            "dvc.lock, `dvc checkout` takes it back there"
        )
    return {
        "remote": url.partition("://")[0] if "://" in url else "folder",
        "objects": count,
        "bytes": size,
        "files_compared": compared,
        "stages_run": len(ran),
        "push_seconds": round(pushed, 2),
        "pull_seconds": round(pulled, 2),
        "repro_seconds": round(reproduced, 2),
    }


def main() -> int:
    """Check, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--remote", metavar="REMOTE")
    parser.add_argument("--set", metavar="OPTION=VALUE", action="append", default=[])
    parser.add_argument("--out", metavar="FILE.json", type=Path)
    given = parser.parse_args()
    if wrong := [one for one in given.set if "=" not in one]:
        parser.error(f"--set {wrong[0]}: expected OPTION=VALUE")
    temporary = Path(tempfile.mkdtemp(prefix=f"{NAME}-"))
    try:
        measured = check(temporary, given.remote, dict(one.split("=", 1) for one in given.set))
    except NotSharedError as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(temporary)
    if given.out is not None:
        given.out.write_text(json.dumps(measured, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

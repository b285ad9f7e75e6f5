"""Check every object in DVC's cache against its name, and remove the damaged ones: `make verify`.

DVC does not look at an object that is read-only, and hands a damaged one out again whenever it is asked to restore. Nor
does it look again at a file in the workspace that it believes to know.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML

from mia import progress

NAME = re.compile("[0-9a-f]{30}([.]dir)?")  # what else lies there is a write that was cut short


def report() -> int:
    """Verify the cache of the repository in the current folder; 1 where an object was damaged."""
    os.environ.setdefault("DVC_NO_ANALYTICS", "1")
    asked = subprocess.run([sys.executable, "-m", "dvc", "cache", "dir"], stdout=subprocess.PIPE, text=True)
    if asked.returncode:  # DVC itself says why on stderr
        return asked.returncode
    cache = Path(asked.stdout.strip())
    objects = sorted(path for path in (cache / "files" / "md5").glob("??/*") if NAME.fullmatch(path.name))
    damaged = {}
    size = 0
    for path in progress.bar(objects, "verify", unit="object"):
        size += path.stat().st_size
        if (came := md5(path)) != path.parent.name + path.name.removesuffix(".dir"):
            damaged[came] = path
    print(f"{cache}: {len(objects)} objects, {size / 1e6:.0f} MB, {len(damaged)} damaged")
    if not damaged:
        return 0
    for came, path in damaged.items():
        path.unlink()
        print(f"{path}: has md5 {came}: removed")
    for path in outputs():
        if md5(path) in damaged:
            path.unlink()
            print(f"{path}: came from it: removed")
    print("`dvc pull` fetches them where they were pushed; `dvc repro` makes them anew")
    return 1


def outputs() -> Iterator[Path]:
    """Every file of the workspace that a stage wrote, as dvc.lock has it."""
    for stage in YAML(typ="safe").load(Path("dvc.lock"))["stages"].values():
        for path in (Path(out["path"]) for out in stage.get("outs", [])):
            yield from [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def md5(path: Path) -> str:
    """The name that DVC gives a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()

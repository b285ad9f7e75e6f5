"""The user's own attacks: each file NAME.py of a folder has `score(evidence)`, and is the attack NAME.

They get what ours get, an `Evidence` whose arrays cannot be changed: never who is a member of the target. A file whose
name begins with _ is no attack; attacks may import it.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mia.arrays import Floats
from mia.attacks.evidence import Evidence
from mia.catalogue import NAMES
from mia.errors import InputError, NotApplicable

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")  # it names columns of tables
HELP = "docs/attacks.md has an example"


@dataclass(frozen=True)
class OwnAttack:
    """One attack of the user's. function: `score` of the file at `path`."""

    name: str
    path: Path
    function: Callable[[Evidence], Any]

    def score(self, evidence: Evidence) -> Floats:
        """Its scores, float64, (samples,).

        Raises NotApplicable where the user's code raises it or InputError. Raises InputError where it raises anything
        else, or where the scores have another shape or are no finite numbers.
        """
        try:
            given = self.function(_read_only(evidence))
            values = np.asarray(given)
        except InputError as error:  # of functions of ours: too few references
            raise NotApplicable(str(error)) from None
        except Exception as error:
            raise InputError(f"{self.path}: score: {_in_a_line(error, self.path)}; mend it") from error
        if values.shape != (len(evidence),):
            raise InputError(
                f"{self.path}: score: expected one score a record, of shape ({len(evidence)},), got shape "
                f"{values.shape}; views are axis 1 of evidence.target, and view 0 is the record itself"
            )
        if values.dtype.kind not in "biuf":
            raise InputError(f"{self.path}: score: expected numbers, got {values.dtype}; return an array of float64")
        scores = values.astype(np.float64)
        if (bad := np.flatnonzero(~np.isfinite(scores))).size:
            raise InputError(
                f"{self.path}: score: expected finite numbers, got {scores[bad[0]]:g} for record {bad[0]} and "
                f"{bad.size} in all, of evidence with {len(evidence.references)} references; mend it, or raise "
                "mia.errors.NotApplicable(reason) where the attack needs others"
            )
        return scores

    def check_repeats(self, evidence: Evidence, scores: Floats) -> None:
        """Raise InputError where the scores of this evidence, (samples,), are others the second time."""
        again = self.score(evidence)
        if (scores != again).any():
            row = int(np.argmax(scores != again))
            raise InputError(
                f"{self.path}: score: expected the same scores of the same evidence, got {scores[row]:g} and then "
                f"{again[row]:g} for record {row}; draw random numbers from a generator with a seed of its own"
            )


def read(folder: Path) -> list[OwnAttack]:
    """The attacks of a folder, by name; none where there is no such folder.

    Raises InputError where a file cannot be imported, has no `score`, or a name that an attack of ours has or that
    cannot be one.
    """
    return [_of(path) for path in sorted(folder.glob("*.py")) if not path.name.startswith("_")]


def brought(folder: Path) -> Path:
    """A folder of attacks that the user names, whole.

    Raises InputError where it is no folder, holds no attack, or as `read`.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: expected a folder of attacks, got {'a file' if folder.exists() else 'nothing'}; "
            "correct the path"
        )
    if not read(folder):
        raise InputError(f"{folder}: expected files NAME.py with a function score(evidence), got none; {HELP}")
    return folder.resolve()


def _of(path: Path) -> OwnAttack:
    name = path.stem
    if not NAME.fullmatch(name):
        raise InputError(
            f"{path}: expected a name of small letters, digits and _, at most 40, a letter first, got {name!r}; "
            "rename the file"
        )
    if name in NAMES:
        raise InputError(f"{path}: expected a name that no attack of params.yaml has, got {name}; rename the file")
    function = getattr(_module(path), "score", None)
    if not callable(function):
        raise InputError(f"{path}: expected a function score(evidence), got none; write it: {HELP}")
    return OwnAttack(name, path, function)


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"own_attack_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # dataclasses look there
    sys.path.append(str(path.parent.resolve()))  # files that attacks import
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{path}: {_in_a_line(error, path)}; mend it") from error
    finally:
        sys.path.pop()
    return module


def _in_a_line(error: Exception, path: Path) -> str:
    """`line 7: ZeroDivisionError: division by zero`; the line is the last one of this file that was run."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    line = error.lineno if isinstance(error, SyntaxError) else frames[-1].lineno if frames else None
    return f"{f'line {line}: ' if line else ''}{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _read_only(evidence: Evidence) -> Evidence:
    """The same evidence, whose arrays refuse a change: other attacks read them too."""
    arrays = {}
    for name in ("target", "references", "is_in", "labels"):
        arrays[name] = getattr(evidence, name).view()
        arrays[name].flags.writeable = False
    return dataclasses.replace(evidence, **arrays)

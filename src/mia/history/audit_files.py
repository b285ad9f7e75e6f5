"""The files of one audit, out of git or the workspace, and its exposures out of DVC.

The files are somebody's: each is checked before a number of it is used, and text of them is never obeyed.
"""

from __future__ import annotations

import os
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mia import paths
from mia.attacks import schemas
from mia.errors import InputError
from mia.history.audit_metrics import Verdict
from mia.history.commits import LOCK, WORKSPACE
from mia.repository import git
from mia.store import metrics_files, parquet, sealed_json

AGAIN = "run it again: `dvc repro` and commit, or for an experiment `dvc exp run --name ANOTHER`"
MOST_VALUES = 10_000  # of a YAML file: ten lists of the one before, ten times over, are more than memory holds
Read = TypeVar("Read")


@dataclass(frozen=True)
class AuditFiles:
    """The files of one commit, or of the workspace."""

    name: str
    commit: str

    def bytes(self, path: Path) -> bytes | None:
        """A file's content; None where there is none."""
        if self.name != WORKSPACE:
            return git("show", f"{self.commit}:./{path.as_posix()}")
        return path.read_bytes() if path.is_file() else None

    def text(self, path: Path) -> str:
        """A file's content. Raises InputError if there is no file, or no text in the file."""
        content = self.bytes(path)
        if content is None:
            where = "" if self.name == WORKSPACE else f" at {self.commit[:7]}"
            why = "; `dvc repro` makes it" if self.name == WORKSPACE else f": made before there was one; {AGAIN}"
            raise InputError(f"{self.name}: no {path}{where}{why}")
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.damaged(path, f"no text ({error})") from None

    def damaged(self, path: Path, fault: str) -> InputError:
        """The error of a file that is not what a stage wrote."""
        again = "delete it, then `dvc repro` makes it anew" if self.name == WORKSPACE else AGAIN
        return InputError(f"{self.name}: {path}: damaged: {' '.join(fault.split())}; {again}")

    def json(self, path: Path, kind: type[Read]) -> Read:
        """A file of metrics as the wanted type."""
        try:
            values = sealed_json.parse(self.text(path))
        except InputError:
            raise
        except ValueError as error:
            raise self.damaged(path, f"not JSON ({error})") from None
        return self.checked(path, kind, values)

    def checked(self, path: Path, kind: type[Read], values: Any) -> Read:
        """The values as `kind`. Raises InputError with the first fault."""
        try:
            return TypeAdapter(kind).validate_python(values)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(str(part) for part in fault["loc"])
            rule = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            raise self.damaged(path, f"{where}: {rule}" if where else rule) from None

    def yaml(self, path: Path) -> Mapping[str, Any]:
        """A YAML file's values, a mapping of no more than `MOST_VALUES`."""
        try:
            values = YAML(typ="safe", pure=True).load(self.text(path))
        except RecursionError:
            raise self.damaged(path, "brackets in brackets in brackets, more than Python follows") from None
        except (YAMLError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise self.damaged(path, f"not YAML: {str(error).partition('To suppress')[0]}") from None
        if not isinstance(values, Mapping):
            raise self.damaged(path, "no sections")
        left: list[Any] = [values]
        for _ in range(MOST_VALUES):
            if not left:
                return values
            value = left.pop()
            left += value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
        raise self.damaged(path, f"more than {MOST_VALUES:,} values")

    def parameters(self) -> dict[str, Any]:
        """params.yaml, and in it the sections of the audit that it names."""
        values = dict(self.yaml(paths.PARAMS))
        audit = values.get("audit")
        if not isinstance(audit, str) or "/" in audit:
            raise self.damaged(paths.PARAMS, "it names no audit, as files of an older version")
        for section, own in self.yaml(paths.audit(audit) / paths.PARAMS).items():
            shared = values.get(section)
            values[section] = {**shared, **own} if isinstance(shared, Mapping) and isinstance(own, Mapping) else own
        return values

    def outs(self) -> dict[str, tuple[str, int]]:
        """The outputs in dvc.lock: path -> (md5, bytes). Empty where there is no such file."""
        content = self.bytes(LOCK)
        if content is None:
            return {}
        try:
            locked = _YAML.load(content.decode("utf-8"))
            return {
                str(out["path"]): (str(out["md5"]), int(out["size"]))
                for stage in locked["stages"].values()
                for out in stage.get("outs", [])
                if "md5" in out and "size" in out
            }
        except (YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise self.damaged(LOCK, f"not what DVC writes ({type(error).__name__})") from None

    def curves(self, attacks: Sequence[str]) -> pd.DataFrame:
        """plots/roc.csv: attack, fpr, tpr, tpr_low, tpr_high, of each attack at least one row."""
        columns = ["fpr", "tpr", "tpr_low", "tpr_high"]
        try:
            frame = metrics_files.parse_csv(self.text(paths.ROC_CURVES), ["attack"])
            rates = frame[columns].astype("float64")
            inside = bool(((rates >= 0) & (rates <= 1)).all(axis=None))
            lacks = sorted(set(attacks) - set(frame["attack"]))
        except InputError:
            raise
        except (ValueError, KeyError) as error:
            raise self.damaged(paths.ROC_CURVES, f"not the table it was ({error})") from None
        if lacks or not inside:
            fault = f"no curve of {lacks[0]!r}" if lacks else "rates that are not between 0 and 1"
            raise self.damaged(paths.ROC_CURVES, fault)
        return pd.concat([frame["attack"], rates], axis=1)

    def exposure(self, verdict: Verdict, attacks: list[str]) -> pd.DataFrame | str:
        """data/exposure.parquet by sample_id, from the workspace, DVC's cache or remote; or why it cannot be had."""
        try:
            if self.name == WORKSPACE:
                frame = parquet.read(paths.EXPOSURE, schemas.exposure(attacks))
            else:
                frame = fetched(self.commit, attacks)
        except InputError as error:
            return textwrap.shorten(str(error), 400, placeholder=" …")
        members = int(frame["is_member"].sum())
        if (members, len(frame) - members) != (verdict.n_member, verdict.n_nonmember):
            return f"{paths.EXPOSURE}: not of the records of {paths.VERDICT}"
        return frame.sort_values("sample_id", ignore_index=True)


_YAML = YAML(typ="safe")  # with C, where there is one: dvc.lock is long


def fetched(commit: str, attacks: list[str]) -> pd.DataFrame:
    """data/exposure.parquet of a commit, as DVC has it. Raises InputError, of one line, if DVC lacks the file."""
    os.environ.setdefault("DVC_NO_ANALYTICS", "1")
    import dvc.api  # half a second, for commits only

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, paths.EXPOSURE.name)
        try:
            with dvc.api.open(paths.EXPOSURE.as_posix(), rev=commit, mode="rb") as content:
                path.write_bytes(content.read())
        except Exception as error:  # DVC's own, and whatever a remote's client raises
            why = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"{paths.EXPOSURE}: neither in DVC's cache nor in a remote ({why})") from None
        try:
            return parquet.read(path, schemas.exposure(attacks))
        except InputError as error:
            raise InputError(str(error).replace(str(path), str(paths.EXPOSURE))) from None

"""Audits of other commits, out of git and DVC: a revision or an experiment by its name, and what its files say.

The files are somebody's: each is checked before a number of it is used, and text of them is never obeyed.
"""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mia import paths
from mia.attacks import schemas
from mia.errors import InputError, shown
from mia.report import dotted
from mia.repository import git
from mia.store import metrics_files, parquet, sealed_json

WORKSPACE = "workspace"
LIST = "`dvc exp list --all-commits` lists the experiments"
AGAIN = "run it again: `dvc repro` and commit, or for an experiment `dvc exp run --name ANOTHER`"
LOCK = Path("dvc.lock")
MOST_VALUES = 10_000  # of a YAML file: ten lists of the one before, ten times over, are more than memory holds
_HASH = re.compile("[0-9a-f]{40}([0-9a-f]{24})?")
_NO_EXPERIMENT = ("refs/exps/exec/", "refs/exps/stash", "refs/exps/celery/", "refs/exps/apply/")

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,60}$")]
Read = TypeVar("Read")


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Verdict(_File):
    """metrics/verdict.json; fpr and tpr... are None where the non-members are too few for any FPR that was asked for.

    auc_p, tpr_p: by the exact test; None in audits that were made before there was one.
    """

    attacks: Count
    n_member: Annotated[int, Field(ge=1)]
    n_nonmember: Annotated[int, Field(ge=1)]
    auc_attack: Name
    auc: Share
    auc_low: Share
    auc_high: Share
    auc_p: Share | None = None
    fpr: Annotated[float, Field(gt=0, le=1)] | None = None
    tpr_attack: Name | None = None
    tpr: Share | None = None
    tpr_low: Share | None = None
    tpr_high: Share | None = None
    tpr_p: Share | None = None

    @model_validator(mode="after")
    def _all_or_none(self) -> Verdict:
        given = [one is None for one in (self.fpr, self.tpr_attack, self.tpr, self.tpr_low, self.tpr_high)]
        if len(set(given)) > 1:
            raise ValueError("expected fpr, tpr_attack, tpr, tpr_low, tpr_high, or none of them")
        return self


class Attack(_File):
    """An entry of metrics/attacks.json. tprs: by FPR, value and limits."""

    attack: Name
    auc: Share
    auc_low: Share
    auc_high: Share
    tprs: dict[float, tuple[Share, Share, Share]]

    @model_validator(mode="before")
    @classmethod
    def _collect(cls, entry: Any) -> Any:
        if not isinstance(entry, Mapping):
            return entry
        found = {}
        for key in entry:
            if match := re.fullmatch(r"tpr_at_fpr_(0_\d{1,12}|1)", str(key)):
                ends = tuple(entry.get(f"{key}{end}") for end in ("", "_low", "_high"))
                found[float(match[1].replace("_", "."))] = ends
        return {**entry, "tprs": found}


class Target(_File):
    """What is used of metrics/target.json."""

    train_accuracy: Share
    test_accuracy: Share


class Shadows(_File):
    """What is used of metrics/shadows.json."""

    models: Count


class Data(_File):
    """What is used of metrics/data.json."""

    population: Count
    attacker: Count
    classes: Count
    population_duplicates: Count = 0


class Used(_File):
    """What the costs are made of, out of params.yaml. train_size: of a shadow. per_block: shadows in a block."""

    dataset: str
    knowledge: str
    epochs: Count
    views: Count
    blocks: list[Count]
    per_block: Count
    train_size: Count


@dataclass(frozen=True)
class Revision:
    """An audit of one commit or of the workspace.

    name: as it was asked for, made to be shown. commit: its hash, in full; the workspace's is that of HEAD.
    date: of the commit. changed: files of the workspace that its commit does not hold. parameters: by dotted name.
    outs: what dvc.lock says that stages wrote, path -> (md5, bytes). curves: plots/roc.csv.
    exposure: data/exposure.parquet, by sample_id, or why it cannot be had.
    """

    name: str
    commit: str
    date: str
    changed: bool
    verdict: Verdict
    attacks: Mapping[str, Attack]
    refused: Mapping[str, str]
    target: Target
    shadows: Shadows
    data: Data
    used: Used
    parameters: Mapping[str, Any]
    outs: Mapping[str, tuple[str, int]]
    curves: pd.DataFrame
    exposure: pd.DataFrame | str

    @property
    def found(self) -> dict[str, Any]:
        """The verdict as `mia.evaluation.verdict` takes it."""
        return self.verdict.model_dump(exclude_none=True)


def resolve(names: Sequence[str]) -> list[str]:
    """The commit of each name; HEAD's for the workspace.

    InputError: a name that is neither a revision nor an experiment, or two names of the same commit, the workspace
    with nothing changed among them.
    """
    if git("rev-parse", "--verify", "HEAD") is None:
        raise InputError("no commit here; run from the root of the repository")
    seen: dict[str, str] = {}
    commits = []
    for name in names:
        commit = commit_of(name)
        key = WORKSPACE if name == WORKSPACE and changed() else commit
        if key in seen:
            what = "the workspace" if key == WORKSPACE else f"the commit of {seen[key]} ({commit[:7]})"
            raise InputError(f"{name}: {what} again; name another")
        seen[key] = name
        commits.append(commit)
    return commits


def commit_of(name: str) -> str:
    """The hash of a git revision or an experiment; git's names go before DVC's, as with DVC."""
    wanted = "HEAD" if name == WORKSPACE else name
    if not wanted.startswith("-"):
        found = (git("rev-parse", "--verify", "--quiet", f"{wanted}^{{commit}}") or b"").decode().strip()
        if _HASH.fullmatch(found):
            return found
    listed = (git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps/") or b"").decode(errors="replace")
    refs = [line.split(" ", 1) for line in listed.splitlines()]
    named = {
        ref.split("/")[-2]: commit
        for commit, ref in refs
        if not ref.startswith(_NO_EXPERIMENT) and ref.rpartition("/")[2] == name
    }
    baseline = (git("rev-parse", "HEAD") or b"").decode().strip()
    here = [commit for ref, commit in named.items() if baseline.endswith(ref)] or list(named.values())
    if not here:
        raise InputError(f"{name}: no experiment and no git revision of that name; {LIST}")
    if len(here) > 1:
        which = ", ".join(sorted(commit[:7] for commit in here))
        raise InputError(f"{name}: experiments on {len(here)} commits have that name; name one by its hash: {which}")
    return here[0]


def changed() -> bool:
    """Whether the workspace's audit differs from that of HEAD."""
    files = (*FILES, LOCK)
    return bool(git("status", "--porcelain", "--untracked-files=all", "--", *(path.as_posix() for path in files)))


FILES = (
    paths.VERDICT,
    paths.ATTACK_METRICS,
    paths.NOT_APPLICABLE,
    paths.TARGET_METRICS,
    paths.SHADOW_METRICS,
    paths.DATA_METRICS,
    paths.ROC_CURVES,
    paths.PARAMS,
)


def read(name: str, commit: str) -> Revision:
    """Everything of one audit, checked. Raises InputError where it has no verdict, or a file of it is damaged."""
    files = Files(name, commit)
    files.text(paths.VERDICT)  # first: without it nothing else is worth a word
    verdict = files.json(paths.VERDICT, Verdict)
    entries = files.json(paths.ATTACK_METRICS, list[Attack])
    attacks = {one.attack: one for one in entries}
    for wanted, fpr in ((verdict.auc_attack, None), (verdict.tpr_attack, verdict.fpr)):
        if wanted is not None and (wanted not in attacks or (fpr is not None and fpr not in attacks[wanted].tprs)):
            raise files.damaged(paths.ATTACK_METRICS, f"no {wanted!r} as {paths.VERDICT} has it")
    values = files.yaml(paths.PARAMS)
    date = (git("show", "--no-patch", "--format=%cI", commit) or b"").decode().strip()
    return Revision(
        name=name[:7] if _HASH.fullmatch(name) else shown(" ".join(name.split())),
        commit=commit,
        date=date[:16].replace("T", " "),
        changed=name == WORKSPACE and changed(),
        verdict=verdict,
        attacks=attacks,
        refused=files.json(paths.NOT_APPLICABLE, dict[Name, str]),
        target=files.json(paths.TARGET_METRICS, Target),
        shadows=files.json(paths.SHADOW_METRICS, Shadows),
        data=files.json(paths.DATA_METRICS, Data),
        used=files.checked(paths.PARAMS, Used, used(values)),
        parameters=dotted.flat(values),
        outs=files.outs(),
        curves=files.curves(list(attacks)),
        exposure=files.exposure(verdict, list(attacks)),
    )


def used(values: Any) -> dict[str, Any]:
    """What `Used` is made of; None where params.yaml has it not."""

    def at(*names: str) -> Any:
        value = values
        for name in names:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    dataset = str(at("data", "dataset"))
    return {
        "dataset": dataset,
        "knowledge": at("attacker", "knowledge"),
        "epochs": at("target", dataset, "epochs"),
        "views": at("query", "views"),
        "blocks": at("shadow", "blocks"),
        "per_block": at("shadow", dataset, "per_block"),
        "train_size": at("shadow", dataset, "train_size"),
    }


@dataclass(frozen=True)
class Files:
    """The files of one commit, or of the workspace."""

    name: str
    commit: str

    def bytes(self, path: Path) -> bytes | None:
        """A file's content; None where there is none."""
        if self.name != WORKSPACE:
            return git("show", f"{self.commit}:./{path.as_posix()}")
        return path.read_bytes() if path.is_file() else None

    def text(self, path: Path) -> str:
        """A file's content. Raises InputError where there is none, or it is no text."""
        content = self.bytes(path)
        if content is None:
            where = "" if self.name == WORKSPACE else f" at {self.commit[:7]}"
            why = "; `dvc repro` makes it" if self.name == WORKSPACE else f": made before there was one; {AGAIN}"
            raise InputError(f"{self.name}: no {path}{where}{why}")
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.damaged(path, f"no text ({error})") from None

    def damaged(self, path: Path, found: str) -> InputError:
        """What to say of a file that is not what a stage wrote."""
        again = "delete it, then `dvc repro` makes it anew" if self.name == WORKSPACE else AGAIN
        return InputError(f"{self.name}: {path}: damaged: {' '.join(found.split())}; {again}")

    def json(self, path: Path, kind: type[Read]) -> Read:
        """A file of metrics as what it must be."""
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
            said = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            raise self.damaged(path, f"{where}: {said}" if where else said) from None

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
            one = left.pop()
            left += one.values() if isinstance(one, Mapping) else one if isinstance(one, list) else ()
        raise self.damaged(path, f"more than {MOST_VALUES:,} values")

    def outs(self) -> dict[str, tuple[str, int]]:
        """What dvc.lock says that stages wrote: path -> (md5, bytes). Empty where there is no such file."""
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
            frame = metrics_files.parse_csv(self.text(paths.ROC_CURVES))
            rates = frame[columns].astype("float64")
            inside = bool(((rates >= 0) & (rates <= 1)).all(axis=None))
            lacks = sorted(set(attacks) - set(frame["attack"]))
        except InputError:
            raise
        except (ValueError, KeyError) as error:
            raise self.damaged(paths.ROC_CURVES, f"not the table it was ({error})") from None
        if lacks or not inside:
            found = f"no curve of {lacks[0]!r}" if lacks else "rates that are none"
            raise self.damaged(paths.ROC_CURVES, found)
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
    """data/exposure.parquet of a commit, as DVC has it. Raises InputError, of one line, where it has it not."""
    os.environ.setdefault("DVC_NO_ANALYTICS", "1")
    import dvc.api  # half a second, for commits only

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, paths.EXPOSURE.name)
        try:
            with dvc.api.open(paths.EXPOSURE.as_posix(), rev=commit, mode="rb") as content:
                path.write_bytes(content.read())
        except Exception as error:  # DVC's own, and whatever a remote's client raises
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"{paths.EXPOSURE}: neither in DVC's cache nor to be had from a remote ({said})") from None
        try:
            return parquet.read(path, schemas.exposure(attacks))
        except InputError as error:
            raise InputError(str(error).replace(str(path), str(paths.EXPOSURE))) from None


def fpr_of(some: Sequence[Revision]) -> float | None:
    """The FPR at which revisions are compared: that of their verdicts, or the nearest to it that all measured.

    Revisions whose non-members resolve no FPR at all do not count; None where no FPR is left.
    """
    able = [one for one in some if one.verdict.fpr is not None]
    common = set.intersection(*(set(attack.tprs) for one in able for attack in one.attacks.values())) if able else set()
    first = next((one.verdict.fpr for one in able), None)
    if first is None or not common:
        return None
    return min(sorted(common), key=lambda fpr: abs(math.log(fpr / first)))


def text_of(value: Any) -> str:
    """A parameter's value as text that may be shown."""
    return shown(value if isinstance(value, str) else json.dumps(value, default=str))

"""Audits of other commits, out of git and DVC: a revision or an experiment by its name, and what its files hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mia import dotted, paths
from mia.errors import shown
from mia.history import audit_metrics, commits
from mia.history.audit_files import AuditFiles
from mia.history.audit_metrics import Attack, Data, Given, Name, Shadows, Target, Used, Verdict
from mia.repository import git


@dataclass(frozen=True)
class Revision:
    """An audit of one commit or of the workspace.

    name: the wanted name, made to be shown. commit: its hash, in full; the workspace's is that of HEAD.
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
    used: Used | Given
    parameters: Mapping[str, Any]
    outs: Mapping[str, tuple[str, int]]
    curves: pd.DataFrame
    exposure: pd.DataFrame | str

    @property
    def noun(self) -> str:
        """What one audited record is called: image or record."""
        return self.verdict.kind

    @property
    def verdict_numbers(self) -> dict[str, Any]:
        """The verdict as `mia.evaluation.verdict` takes it."""
        return self.verdict.model_dump(exclude_none=True)


def read(name: str, commit: str) -> Revision:
    """Everything of one audit, checked. Raises InputError if the audit has no verdict, or a damaged file."""
    files = AuditFiles(name, commit)
    files.text(paths.VERDICT)  # first: without it nothing else is worth a word
    verdict = files.json(paths.VERDICT, Verdict)
    entries = files.json(paths.ATTACK_METRICS, list[Attack])
    attacks = {entry.attack: entry for entry in entries}
    for attack, fpr in ((verdict.auc_attack, None), (verdict.tpr_attack, verdict.fpr)):
        if attack is not None and (attack not in attacks or (fpr is not None and fpr not in attacks[attack].tprs)):
            raise files.damaged(paths.ATTACK_METRICS, f"no {attack!r} as {paths.VERDICT} has it")
    values = files.parameters()
    used = audit_metrics.used_of(values)
    kind: type[Used | Given] = Given if used["source"] == "answers" else Used
    date = (git("show", "--no-patch", "--format=%cI", commit) or b"").decode().strip()
    return Revision(
        name=name[:7] if commits.HASH.fullmatch(name) else shown(" ".join(name.split())),
        commit=commit,
        date=date[:16].replace("T", " "),
        changed=name == commits.WORKSPACE and commits.changed(),
        verdict=verdict,
        attacks=attacks,
        refused=files.json(paths.NOT_APPLICABLE, dict[Name, str]),
        target=files.json(paths.TARGET_METRICS, Target),
        shadows=files.json(paths.SHADOW_METRICS, Shadows),
        data=files.json(paths.DATA_METRICS, Data),
        used=files.checked(paths.PARAMS, kind, used),
        parameters=dict(dotted.flat(values)),
        outs=files.outs(),
        curves=files.curves(list(attacks)),
        exposure=files.exposure(verdict, list(attacks)),
    )

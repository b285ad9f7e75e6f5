"""The commits that audits are of: a name as git or DVC has it, and whether the workspace differs from its commit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mia import paths
from mia.errors import InputError
from mia.repository import git

WORKSPACE = "workspace"
LIST = "`dvc exp list --all-commits` lists the experiments"
LOCK = Path("dvc.lock")
HASH = re.compile("[0-9a-f]{40}([0-9a-f]{24})?")
_NO_EXPERIMENT = ("refs/exps/exec/", "refs/exps/stash", "refs/exps/celery/", "refs/exps/apply/")

# What git keeps of an audit and the comparison reads.
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
    """The hash of a git revision or an experiment; git's names go before DVC's, as with DVC.

    InputError: as `experiment_commit`.
    """
    revision = "HEAD" if name == WORKSPACE else name
    if not revision.startswith("-"):
        commit = (git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") or b"").decode().strip()
        if HASH.fullmatch(commit):
            return commit
    return experiment_commit(name)


def experiment_commit(name: str) -> str:
    """The hash of an experiment; of several with that name the one that was run on HEAD.

    InputError: no experiment has that name, or several on other commits.
    """
    listed = (git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps/") or b"").decode(errors="replace")
    refs = [line.split(" ", 1) for line in listed.splitlines()]
    by_parent = {
        ref.split("/")[-2]: commit
        for commit, ref in refs
        if not ref.startswith(_NO_EXPERIMENT) and ref.rpartition("/")[2] == name
    }
    head = (git("rev-parse", "HEAD") or b"").decode().strip()
    candidates = [commit for parent, commit in by_parent.items() if head.endswith(parent)] or list(by_parent.values())
    if not candidates:
        raise InputError(f"{name}: no experiment and no git revision of that name; {LIST}")
    if len(candidates) > 1:
        which = ", ".join(sorted(commit[:7] for commit in candidates))
        raise InputError(
            f"{name}: experiments on {len(candidates)} commits have that name; name one by its hash: {which}"
        )
    return candidates[0]


def changed() -> bool:
    """Whether the workspace's audit differs from that of HEAD."""
    files = (*FILES, LOCK)
    return bool(git("status", "--porcelain", "--untracked-files=all", "--", *(path.as_posix() for path in files)))

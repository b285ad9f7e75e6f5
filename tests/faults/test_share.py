"""Sharing trained models over real remotes: a folder, OpenSSH's sshd, an S3 server. What shares, what only looks so."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import pipeline
import repository
import servers
from mia import paths
from mia.errors import InputError
from mia.models import checkpoints
from repository import Repository, ran

pytestmark = pytest.mark.timeout(240)

STAGES = {"prepare", "split", "train_shadows"}  # all stages are shared in tests/pipeline/test_dvc.py, once
OTHER = (
    "--set-param",
    "audits/digits/params.yaml:target.epochs=1",
)  # which trains the shadows anew; `split` reads which architecture the target has
MODELS = paths.shadow_models(0)
KINDS = ("folder", "ssh", "s3")
NOTHING: set[str] = set()
BREAKS_AFTER = 300_000  # bytes: amid the models, which have 200,000 each
# `dvc` in a process that is killed amid its fourth object: written to a folder, not renamed yet.
KILLED = """
import os, signal, sys
place, renamed = sys.argv.pop(1), []
def kill(event, arguments):
    if event == "os.rename" and str(arguments[1]).startswith(place):
        renamed.append(arguments)
        if len(renamed) == 4:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill)
from dvc.cli import main
sys.exit(main(sys.argv[1:]))
"""


@dataclass
class Team:
    """A repository in which the first experiment is committed and another has run, and where it can be shared.

    Each kind of server has a remote of its own and one behind a line that breaks; places are the remotes' folders.
    """

    repository: Repository
    git: Path
    ssh: servers.Ssh | None = None
    s3: servers.S3 | None = None
    absent: dict[str, str] = field(default_factory=dict)
    places: dict[str, Path] = field(default_factory=dict)
    lines: dict[str, servers.Line] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    other: dict[str, str] = field(default_factory=dict)
    trained: set[str] = field(default_factory=set)  # md5 of the objects that the other experiment made

    def needs(self, kind: str) -> None:
        """Skip the test where a kind of server is not installed; fail where nothing may skip."""
        if kind in self.absent:
            (pytest.fail if os.environ.get("MIA_TESTS_MUST_NOT_SKIP") else pytest.skip)(self.absent[kind])

    def variables(self) -> dict[str, str]:
        """What a member's environment holds: the S3 server's credentials; no second attempts, which take seconds."""
        return {**(self.s3.credentials if self.s3 else {}), "AWS_MAX_ATTEMPTS": "1"}

    def member(self, folder: Path, remote: str) -> Repository:
        """A fresh clone of who may use the servers and has chosen a remote."""
        made = repository.clone(self.repository, folder, **self.variables())
        made.git("remote", "set-url", "origin", str(self.git))
        self.choose(made, remote)
        return made

    def choose(self, member: Repository, remote: str, **options: str) -> None:
        """Give a clone its remote, the key and more options, which git does not see."""
        if self.ssh is not None and remote.endswith("ssh"):
            options = {"keyfile": str(self.ssh.key), **options}
        lines = [f"[core]\nremote = {remote}", f"['remote \"{remote}\"']"]
        lines += [f"{name} = {value}" for name, value in options.items()]
        (member.root / ".dvc" / "config.local").write_text("\n".join(lines) + "\n")

    def objects(self, remote: str) -> set[str]:
        """The md5 of the objects that a remote has under names of objects."""
        folder = self.places[remote] / "files" / "md5"
        return {name(path) for path in folder.glob("[0-9a-f][0-9a-f]/[0-9a-f]*")}


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("share")
    you = repository.create(folder, keep=STAGES)
    you.give(shadow__blocks=[0])
    made = Team(you, folder / "git")

    def add(name: str, place: Path, url: str, **options: str) -> None:
        made.places[name] = place
        lines = [f"['remote \"{name}\"']", f"url = {url}", *(f"{key} = {value}" for key, value in options.items())]
        with (you.root / ".dvc" / "config").open("a") as config:
            config.write("\n".join(lines) + "\n")

    add("folder", folder / "folder", str(folder / "folder"))
    add("broken-folder", folder / "broken", str(folder / "broken"))
    add("records", folder / "records", str(folder / "records"))
    try:
        made.ssh = ssh = servers.Ssh(folder / "ssh")
        ssh.start()
        made.lines["broken-ssh"] = servers.Line(ssh.port, BREAKS_AFTER)
        for name, port in (("ssh", ssh.port), ("broken-ssh", made.lines["broken-ssh"].port)):
            place = ssh.folder / f"remote-{name}"
            add(name, place, f"ssh://{ssh.user}@{servers.LOOPBACK}:{port}{place}")
    except servers.AbsentError as error:
        made.absent["ssh"] = str(error)
    try:
        made.s3 = s3 = servers.S3(folder / "s3")
        s3.start()
        bucket = s3.bucket("models")
        made.lines["broken-s3"] = servers.Line(s3.port, BREAKS_AFTER)
        for name, port in (("s3", s3.port), ("broken-s3", made.lines["broken-s3"].port)):
            add(name, bucket / name, f"s3://models/{name}", endpointurl=f"http://{servers.LOOPBACK}:{port}")
    except servers.AbsentError as error:
        made.absent["s3"] = str(error)
    for kind, package in (("ssh", "dvc_ssh"), ("s3", "dvc_s3")):
        if kind not in made.absent and importlib.util.find_spec(package) is None:
            made.absent[kind] = f"{package} is not installed; `make share` installs it"
    try:
        you.variables.update(made.variables())
        you.git("add", "--all")
        you.git("commit", "--quiet", "--message", "code")
        you.dvc("repro")
        made.first = you.outputs()
        you.git("add", "--all")
        you.git("commit", "--quiet", "--message", "first run")
        you.git("init", "--quiet", "--bare", str(made.git))
        you.git("remote", "add", "origin", str(made.git))
        you.git("push", "--quiet", "origin", "main")
        before = cached(you)
        assert ran(you.dvc("exp", "run", "--name", "other", *OTHER)) == {"split", "train_shadows@0"}
        made.other, made.trained = you.outputs(), cached(you) - before
        you.git("checkout", "--quiet", ".")
        you.dvc("checkout")
        assert you.outputs() == made.first
        yield made
    finally:
        for line in made.lines.values():
            line.cut()
        for server in (made.ssh, made.s3):
            if server is not None:
                server.stop()


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest, team: Team) -> str:
    """A kind of remote to which both experiments were pushed, as docs/sharing.md says it is done."""
    kind = str(request.param)
    team.needs(kind)
    team.choose(team.repository, kind)
    team.repository.dvc("push")
    team.repository.dvc("exp", "push", "--run-cache", "origin", "other")
    assert team.repository.git("status", "--porcelain") == ""
    return kind


def weights(of: Repository) -> Path:
    """A model's weights in a clone."""
    return of.root / MODELS / "1.safetensors"


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def cached(of: Repository) -> set[str]:
    """The md5 of the objects in a clone's cache."""
    folder = of.root / ".dvc" / "cache" / "files" / "md5"
    return {name(path) for path in folder.glob("*/*")}


def in_git(of: Repository) -> set[str]:
    return set(of.git("ls-files").split())


def test_a_clone_has_every_byte_and_trains_nothing_nor_what_somebody_else_ran(
    team: Team, kind: str, tmp_path: Path
) -> None:
    colleague = team.member(tmp_path, kind)
    colleague.dvc("pull")
    said = colleague.dvc("repro")
    assert ran(said) == NOTHING
    assert "Data and pipelines are up to date." in said
    assert colleague.outputs() == team.first
    assert colleague.git("status", "--porcelain") == ""
    assert ran(colleague.dvc("exp", "run", "--pull", *OTHER)) == NOTHING
    assert colleague.outputs() == team.other


@pytest.mark.fault("object changed in the remote")
def test_an_object_changed_in_the_remote_is_believed_unless_the_remote_is_verified(
    team: Team, kind: str, tmp_path: Path
) -> None:
    digest = md5(weights(team.repository))
    stored = team.places[kind] / "files" / "md5" / digest[:2] / digest[2:]
    right = stored.read_bytes()
    stored.chmod(0o644)
    stored.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    colleague = team.member(tmp_path, kind)
    try:
        colleague.dvc("pull")
        assert weights(colleague).stat().st_size == len(right)
        assert md5(weights(colleague)) != digest
        assert digest in cached(colleague)
        with pytest.raises(InputError, match="damaged"):  # the model's own digest tells, once a stage reads it
            checkpoints.load(colleague.root / MODELS, 1)

        shutil.rmtree(colleague.root / ".dvc" / "cache")
        shutil.rmtree(weights(colleague).parent)
        team.choose(colleague, kind, verify="true")
        said = colleague.dvc("pull", expected=1)
        assert f"Checkout failed for following targets:\n{MODELS}\n" in said
        assert not weights(colleague).exists()
        assert digest not in cached(colleague)
    finally:
        stored.write_bytes(right)


@pytest.mark.fault("remote gone amid a push")
def test_a_push_that_breaks_is_an_error_and_completes_the_next_time(team: Team, kind: str, tmp_path: Path) -> None:
    remote = f"broken-{kind}"
    you = team.member(tmp_path / "you", remote)
    shutil.copytree(team.repository.root / ".dvc" / "cache", you.root / ".dvc" / "cache")
    colleague = team.member(tmp_path / "colleague", remote)
    if kind == "folder":
        said = you.run(sys.executable, "-c", KILLED, str(team.places[remote]), "push", expected=-signal.SIGKILL)
    else:
        said = you.dvc("push", expected=None)
        assert team.lines[remote].broken.is_set()
        team.lines[remote].mend()
    assert "Traceback" not in said
    arrived = team.objects(remote)
    assert NOTHING < arrived < team.objects(kind)

    said = colleague.dvc("pull", expected=1)
    assert "Checkout failed for following targets:" in said
    assert colleague.outputs().items() < team.first.items()  # what came is right

    you.dvc("push")
    colleague.dvc("pull")
    assert colleague.outputs() == team.first


@pytest.mark.fault("remote absent, or its key refused")
@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("folder", "absent", "Checkout failed for following targets:"),
        ("ssh", "absent", "failed to connect to ssh"),
        ("ssh", "key", "Permission denied for user"),
        ("s3", "absent", "Could not connect to the endpoint URL"),
        ("s3", "key", "(403)"),
    ],
)
def test_a_remote_that_is_absent_or_refuses_is_an_error_and_leaves_nothing(
    team: Team, tmp_path: Path, kind: str, change: str, message: str
) -> None:
    team.needs(kind)
    colleague = team.member(tmp_path, kind)
    nowhere = servers.free_port()
    options = {
        ("folder", "absent"): {"url": str(tmp_path / "not-mounted")},
        ("ssh", "absent"): {"port": str(nowhere)},
        ("ssh", "key"): {"keyfile": str(team.ssh.new_key("stranger"))} if team.ssh else {},
        ("s3", "absent"): {"endpointurl": f"http://{servers.LOOPBACK}:{nowhere}"},
        ("s3", "key"): {"secret_access_key": "x" * 40, "access_key_id": team.s3.key_id if team.s3 else ""},
    }
    team.choose(colleague, kind, **options[kind, change])
    said = colleague.dvc("pull", expected=1)
    assert message in said
    assert "Traceback" not in said
    assert cached(colleague) == NOTHING
    assert set(colleague.outputs()) <= in_git(colleague)
    assert colleague.git("status", "--porcelain") == ""


def test_records_of_runs_without_their_objects_are_not_the_runs(team: Team) -> None:
    """`dvc push --run-cache` looks like sharing what no commit holds; who then types its parameters trains anew."""
    team.choose(team.repository, "records")
    team.repository.dvc("push", "--run-cache")
    records = [path for path in (team.places["records"] / "runs").rglob("*") if path.is_file()]
    assert len(records) == len(STAGES) + len({"split", "train_shadows"})
    assert team.trained != NOTHING
    assert team.trained & team.objects("records") == NOTHING


def test_a_model_file_names_no_device(team: Team) -> None:
    """Trained on a GPU or not, it is loaded where there is none: weights are named, typed and shaped, nothing else."""
    content = weights(team.repository).read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header.keys() == checkpoints.load(team.repository.root / MODELS, 1).state_dict().keys()
    for tensor in header.values():
        assert tensor.keys() == {"dtype", "shape", "data_offsets"}


# -- over SSH, DVC asks for no host key unless the way there does -----------------------------------------------------


@pytest.mark.fault("host key of an SSH remote changed")
def test_a_changed_host_key_is_refused_by_the_way_that_sharing_md_gives_and_by_no_other(
    team: Team, tmp_path: Path
) -> None:
    team.needs("ssh")
    assert team.ssh is not None
    ssh = team.ssh
    team.choose(team.repository, "ssh")
    team.repository.dvc("push")
    page = (pipeline.ROOT / "docs/sharing.md").read_text()
    given = re.search(r"^Host (\S+)\n    HostName localhost\n    ProxyJump (\S+)\n", page, re.MULTILINE)
    assert given is not None
    known = {"Port": ssh.port, "User": ssh.user, "IdentityFile": ssh.key}
    both = "".join(f"    {name} {value}\n" for name, value in known.items())
    colleague = team.member(tmp_path, "ssh")
    (colleague.home / ".ssh").mkdir()
    (colleague.home / ".ssh" / "config").write_text(
        f"{given[0]}\nHost {given[2]}\n    HostName {servers.LOOPBACK}\n\nHost {given[1]} {given[2]}\n{both}"
    )
    hosts = colleague.home / ".ssh" / "known_hosts"
    hosts.write_text(ssh.known_hosts())
    options = {"url": f"ssh://{given[1]}{team.places['ssh']}"}
    team.choose(colleague, "ssh", **options)
    colleague.dvc("pull")
    assert colleague.outputs() == team.first

    ssh.stop()
    ssh.new_key("host")
    ssh.start()
    shutil.rmtree(colleague.root / ".dvc" / "cache")
    said = colleague.dvc("pull", expected=1)
    assert f"Host key is not trusted for host {servers.LOOPBACK}" in said
    assert cached(colleague) == NOTHING

    team.choose(colleague, "ssh")  # the plain way does not look, whatever the configuration says
    (colleague.home / ".ssh" / "config").write_text("Host *\n    StrictHostKeyChecking yes\n")
    colleague.dvc("pull")
    assert cached(colleague) != NOTHING


# -- make share-check -------------------------------------------------------------------------------------------------


def test_the_check_shares_the_committed_experiment_and_touches_nothing_here(team: Team, tmp_path: Path) -> None:
    root = team.repository.root
    before = everything(root)
    said = team.repository.run(sys.executable, "benchmarks/share.py", "--out", str(tmp_path / "out.json"))
    assert everything(root) == before
    committed = {md5(root / name) for name in in_git(team.repository)}  # `dvc exp run` caches metrics too
    objects = cached(team.repository) - team.trained - committed
    size = sum(path.stat().st_size for path in root.glob(".dvc/cache/files/md5/*/*") if name(path) in objects)
    measured = json.loads((tmp_path / "out.json").read_text())
    assert measured.items() >= {"remote": "folder", "stages_run": 0, "objects": len(objects), "bytes": size}.items()
    assert measured["files_compared"] == len(team.first)
    assert f"0 stages ran; {len(team.first)} files compared with the workspace's, 0 differ" in said
    assert not list(Path(tempfile.gettempdir()).glob("share-check-*"))


def test_the_check_wants_a_commit_and_runs_no_stage_that_is_due(team: Team) -> None:
    you = team.repository
    you.give(shadow__blocks=[0], target__epochs=3)
    said = you.run(sys.executable, "benchmarks/share.py", expected=1)
    assert said.startswith("error: not committed: audits/digits/params.yaml; ")
    you.git("commit", "--quiet", "--all", "--message", "changed, not run")
    try:
        said = you.run(sys.executable, "benchmarks/share.py", expected=1)
    finally:
        you.git("reset", "--quiet", "--hard", "HEAD~")
    assert "error: `dvc repro` would run, and was not let: split, train_shadows@0" in said
    assert "stages ran" not in said


def test_the_check_names_what_the_cache_has_not_whole(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = benchmark()
    monkeypatch.setattr(share, "ROOT", team.repository.root)
    shutil.copytree(team.repository.root, tmp_path / "you")
    you = share.Person(tmp_path / "you", tmp_path)
    digest = md5(weights(team.repository))
    stored = team.repository.root / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
    right = stored.read_bytes()
    stored.chmod(0o644)
    stored.write_bytes(right[:-1])
    try:
        assert share.take(you)[2] == [f"{MODELS} ({digest}: damaged)"]
        stored.unlink()
        assert share.take(you)[2] == [f"{MODELS} ({digest}: missing)"]
    finally:
        stored.write_bytes(right)
        stored.chmod(0o444)
    assert share.take(you)[2] == []


def test_the_check_names_every_output_that_differs(team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share = benchmark()
    monkeypatch.setattr(share, "ROOT", team.repository.root)
    shutil.copytree(team.repository.root, tmp_path / "other")
    model = tmp_path / "other" / MODELS
    assert share.compare(tmp_path / "other") == (len(team.first), [])
    (model / "1.json").write_text("{}")
    (model / "1.safetensors").unlink()
    (model / "9.json").write_text("{}")
    differing = [f"{MODELS}/{name}" for name in ("1.json", "1.safetensors", "9.json")]
    assert share.compare(tmp_path / "other") == (len(team.first) + 1, differing)


def test_the_check_takes_a_configured_remote_with_its_options(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = benchmark()
    monkeypatch.setattr(share, "ROOT", team.repository.root)
    team.choose(team.repository, "records", timeout="5")
    url, options = share.place("records", {"jobs": "2"}, tmp_path)
    assert re.fullmatch(re.escape(f"{team.places['records']}/share-check-") + "[0-9a-f]{8}", url)
    assert options == {"timeout": "5", "jobs": "2"}
    with pytest.raises(share.NotSharedError, match=r"--remote teem: expected .* \(folder, .*records"):
        share.place("teem", {}, tmp_path)


def benchmark() -> types.ModuleType:
    """benchmarks/share.py as a module."""
    found = importlib.util.spec_from_file_location("share", pipeline.ROOT / "benchmarks" / "share.py")
    assert found is not None
    assert found.loader is not None
    made = importlib.util.module_from_spec(found)
    sys.modules["share"] = made  # its dataclasses look themselves up
    found.loader.exec_module(made)
    return made


def name(path: Path) -> str:
    """The md5 by which an object is stored."""
    return path.parent.name + path.name


def everything(root: Path) -> dict[str, tuple[int, str]]:
    """The time and content of every file below a folder, git's and DVC's own included."""
    return {
        path.relative_to(root).as_posix(): (path.stat().st_mtime_ns, md5(path))
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

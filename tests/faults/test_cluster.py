"""Shadows on a Ray cluster: the same bytes as here, though a node dies; what is wrong with it is one line.

The cluster is real: a head and a node, each a raylet with workers of its own, which this file starts and kills.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
import safetensors.torch
import torch

import models
import networks_of_users
import tiny
from mia import paths
from mia.compute import workers
from mia.errors import INTERRUPTED, InputError
from mia.models import building
from ray_nodes import Cluster, Node, awaited, finished, read, session, trains, works

T = TypeVar("T")
pytestmark = pytest.mark.timeout(240)

MODELS = 3  # of more than a second each
CHANGES = {"shadow.blocks": [0], "shadow.per_block": MODELS, "target.epochs": 300}
DIVERGING = {**CHANGES, "target.optimizer": "sgd", "target.learning_rate": 1e38}
ENDLESS = {**CHANGES, "target.epochs": 100_000}
START = "`ray start --head` starts one, `ray start --address=HOST:PORT` adds this machine to it"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that can run one task at a time."""
    if importlib.util.find_spec("ray") is None:
        said = "Ray is not installed; `make cluster` installs it"
        (pytest.fail if os.environ.get("MIA_TESTS_MUST_NOT_SKIP") else pytest.skip)(said)
    folder = Path(tempfile.mkdtemp(prefix="mia", dir="/tmp"))  # a socket's path has 107 characters at most
    made = Cluster(folder)
    try:
        made.start()
        yield made
    finally:
        for node in made.nodes:
            node.kill()
        shutil.rmtree(folder)


@contextmanager
def another(cluster: Cluster, *, cpus: int = 1, **variables: str) -> Iterator[Node]:
    node = cluster.start(cpus=cpus, **variables)
    try:
        yield node
    finally:
        node.kill()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the shadows were trained and asked on this machine, where Ray cannot be imported."""
    folder = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setitem(sys.modules, "ray", None)
        tiny.run("prepare", "split", "train_shadows", "query_shadows", changes=CHANGES)
    return folder


@pytest.fixture
def copy(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same before the training, which is also the current folder."""
    monkeypatch.chdir(tmp_path)
    for path in (paths.POPULATION, paths.ATTACKER, paths.AUDITS):
        shutil.copytree(here / path, path)
    for path in (paths.PARAMS, paths.NETWORK):
        shutil.copy(here / path, path)
    return tmp_path


def digests(folder: Path) -> dict[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return tiny.digests("train_shadows") | tiny.digests("query_shadows")


# -- what it does -----------------------------------------------------------------------------------------------------


@pytest.mark.fault("node of a cluster killed")
def test_a_node_dies_amid_a_training_and_the_shadows_and_their_answers_are_the_same_bytes(
    cluster: Cluster, here: Path, copy: Path
) -> None:
    with another(cluster) as node, cluster.popen("train_shadows") as stage:
        worker = trains(node)
        environment = read(worker, "environ").split(b"\0")
        os.kill(worker, signal.SIGSTOP)
        assert works(worker), "the task was over before the node was killed"
        node.kill()
        assert finished(stage) == (0, "", "")
    variables = [one for one in environment if one.startswith((b"GOMP_", b"MIA_"))]
    assert sorted(variables) == [b"GOMP_SPINCOUNT=2000", b"MIA_DEVICE=cpu"]
    assert cluster.run("query_shadows", MIA_RAY_ADDRESS="auto", RAY_ADDRESS=cluster.address) == (0, "", "")
    assert len([name for name in digests(copy) if name.endswith(".safetensors")]) == MODELS
    assert digests(copy) == digests(here)


@pytest.mark.fault("node of a cluster killed")
def test_one_of_three_nodes_dies_while_all_train_and_the_bytes_are_the_same(
    cluster: Cluster, here: Path, copy: Path
) -> None:
    with another(cluster) as second, another(cluster) as third, cluster.popen("train_shadows") as stage:
        of_node = []
        for node in (cluster.nodes[0], second, third):  # each trains one of the three shadows, and waits
            of_node.append(trains(node))
            os.kill(of_node[-1], signal.SIGSTOP)
        assert all(works(worker) for worker in of_node), "a task was over before the node was killed"
        third.kill()
        for worker in of_node[:2]:
            os.kill(worker, signal.SIGCONT)
        assert finished(stage) == (0, "", "")
        assert cluster.run("query_shadows") == (0, "", "")
    assert len([name for name in digests(copy) if name.endswith(".safetensors")]) == MODELS
    assert digests(copy) == digests(here)


OWN = {**CHANGES, "audit": "images", "attacker.knowledge": "population", "data.min_per_class": 2} | {
    "target.architecture": "own",
    "target.initial": "weights/start.safetensors",
    "target.epochs": 2,
    "target.batch_size": 32,
    "shadow.per_block": MODELS,
    "shadow.train_size": 50,
    "shadow.heldout_size": 50,
}
WIDTH = "from pathlib import Path\nWIDTH = len((Path(__file__).parent / 'weights/width').read_text())\n"


def test_a_network_of_the_users_own_trains_there_to_the_same_bytes(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its recipe imports a file beside it; its first weights lie in a folder that git passes over, behind a link."""
    monkeypatch.chdir(tmp_path)
    networks_of_users.photos(tmp_path / "audits/images/data/population", models.images(120, side=8, noise=40))
    recipe = "from helper import WIDTH\n" + networks_of_users.RESNET.replace(
        "Conv2d(channels, 8", "Conv2d(channels, WIDTH"
    )
    name = networks_of_users.write(tmp_path / "audits/images", recipe)
    code, weights = tmp_path / "audits/images/code", tmp_path / "elsewhere"
    weights.mkdir()
    (code / "helper.py").write_text(WIDTH)
    (code / ".gitignore").write_text("weights\n")
    (code / "weights").symlink_to(weights, target_is_directory=True)
    (weights / "width").write_text("8 letters"[:8])
    (weights / "large").write_bytes(bytes(11 << 20))  # of which Ray would warn
    stem = building.create(name, (8, 8, 3), 3, seed=5).state_dict()["stem.weight"]
    safetensors.torch.save_file({"stem.weight": stem}, weights / "start.safetensors")
    tiny.run("prepare", "split", "train_shadows", "query_shadows", changes=OWN)
    here = digests(tmp_path)
    shutil.rmtree(paths.shadow_models(0))
    shutil.rmtree(paths.ALL_SHADOW_SIGNALS)
    assert cluster.run("train_shadows") == (0, "", "")
    assert cluster.run("query_shadows") == (0, "", "")
    assert len([name for name in here if name.endswith(".safetensors")]) == MODELS
    assert digests(tmp_path) == here


def test_a_training_that_diverges_says_the_same_as_here(cluster: Cluster, copy: Path) -> None:
    with pytest.raises(InputError) as caught:
        tiny.run("train_shadows", changes=DIVERGING)
    assert str(caught.value).startswith("shadow 1: the training loss is ")
    assert cluster.run("train_shadows") == (1, "", f"error: {caught.value}\n")
    assert not paths.shadow_models(0).exists()


def test_ctrl_c_ends_the_stage_and_what_it_runs_on_the_cluster(cluster: Cluster, copy: Path) -> None:
    tiny.write_params(paths.PARAMS, ENDLESS)
    with cluster.popen("train_shadows") as stage:
        worker = trains(cluster.nodes[0])
        stage.send_signal(signal.SIGINT)
        code, said, told = finished(stage, 60)  # seconds: Ray takes its time on a busy machine
        ours = [line for line in told.splitlines() if "task_manager.cc" not in line]  # Ray's, on a busy machine
        assert (code, said, ours) == (130, "", [INTERRUPTED])
    awaited(lambda: worker not in session(cluster.nodes[0].process.pid), 60)
    assert not paths.shadow_models(0).exists()


# -- what is wrong ----------------------------------------------------------------------------------------------------


def test_a_node_with_another_torch_is_named(cluster: Cluster, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its Python finds version 1.0 in place of the file that says torch's."""
    monkeypatch.chdir(here)
    old = cluster.folder / "version.py"
    version = Path(str(torch.__file__)).with_name("version.py").read_text()
    old.write_text(version.replace(f"__version__ = '{torch.__version__}'", "__version__ = '1.0'"))
    (cluster.folder / "sitecustomize.py").write_text(f"""
import importlib.util, sys
class Old:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "torch.version":
            return importlib.util.spec_from_file_location(name, {str(old)!r})
sys.meta_path.insert(0, Old)
""")
    with another(cluster, cpus=2, PYTHONPATH=str(cluster.folder)):
        status, out, err = cluster.run("query_shadows", MIA_THREADS="2")
    assert (status, out) == (1, "")
    assert err == (
        f"error: the Ray node {os.uname().nodename} has torch 1.0, this one {torch.__version__}; install the same\n"
    )


def test_tasks_that_no_node_can_run_are_not_waited_for(
    cluster: Cluster, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here)
    status, out, err = cluster.run("query_shadows", MIA_RAY_GPUS="0.5")
    assert (status, out) == (1, "")
    assert err == (
        f"error: the Ray cluster at '{cluster.address}' has no node of MIA_THREADS=1 CPUs and MIA_RAY_GPUS=0.5 GPUs; "
        "lower them, or `ray start --address=HOST:PORT` on such a machine\n"
    )


def test_a_listener_that_is_no_cluster_is_given_up(
    cluster: Cluster, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of itself Ray would try for 13 minutes; here each try is short, and still there would be 20 of them."""
    monkeypatch.chdir(here)
    short = {"RAY_py_gcs_connect_timeout_s": "1", "RAY_gcs_rpc_server_connect_timeout_s": "1"}
    with socket.create_server(("", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        begin = time.monotonic()
        status, out, err = cluster.run("query_shadows", MIA_RAY_ADDRESS=address, **short)
    assert time.monotonic() - begin < 30
    assert (status, out) == (1, "")
    assert err.splitlines()[-1].startswith(f"error: MIA_RAY_ADDRESS: cannot join a Ray cluster at '{address}' (")
    assert err.endswith(f"; {START}\n")


def refused() -> str:
    """What is said before Ray is needed."""
    with pytest.raises(InputError) as caught:
        list(workers.spread(max, (1,), [2, 3], name="test", unit="task"))
    return str(caught.value)


def test_no_cluster_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unheard.getsockname()[1]}"
        monkeypatch.setenv("MIA_RAY_ADDRESS", address)
        assert refused().startswith(f"MIA_RAY_ADDRESS: no Ray cluster answers at '{address}' (")


@pytest.mark.parametrize("address", ["local", "localhost", "ray://127.0.0.1:10001", ":6379", "127.0.0.1:ray"])
@pytest.mark.parametrize("variable", ["MIA_RAY_ADDRESS", "RAY_ADDRESS"])
def test_an_address_by_which_ray_would_start_a_cluster_or_find_none(
    variable: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIA_RAY_ADDRESS", "auto")
    monkeypatch.setenv(variable, address)
    assert refused() == f"MIA_RAY_ADDRESS: expected auto or host:port, got '{address}'; {START}"


def test_ray_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("MIA_RAY_ADDRESS", "auto")
    monkeypatch.setitem(sys.modules, "ray", None)
    assert refused() == (
        "MIA_RAY_ADDRESS is set and Ray is not installed; `make cluster` installs it, or unset MIA_RAY_ADDRESS"
    )


@pytest.mark.parametrize("value", ["-1", "2", "many", "nan", "0.00001"])
def test_a_share_of_a_gpu_that_is_none(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIA_RAY_ADDRESS", "auto")
    monkeypatch.setenv("MIA_RAY_GPUS", value)
    assert refused() == f"MIA_RAY_GPUS: expected 0, or a share of a GPU up to 1, got '{value}'; unset it for 0"

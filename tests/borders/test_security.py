"""What somebody tries who controls data, a remote, a model file or a server: nothing runs, and little is taken.

Each attempt goes through the reader or the stage that a user would run. It must end in an InputError that says where,
within MOST_MEMORY beyond what was in use and MOST_SECONDS; a payload, were it run, would leave the file `ran`.
"""

from __future__ import annotations

import ast
import bz2
import copy
import ctypes
import gzip
import hashlib
import io
import json
import pickle
import re
import struct
import tarfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import skops.io
import torch
from PIL import Image
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import pipeline
import tiny
from mia import commands, params, paths
from mia.attacks import learned
from mia.data import archives, cifar10, downloads, folder, image_files, pixel_file, stored_records
from mia.data.records import Records
from mia.errors import InputError
from mia.models import building, checkpoints
from mia.models.checkpoints import Description
from mia.report.figures import classes, style
from mia.store import metrics_files, parquet, sealed_json
from stages import prepare

pytestmark = pytest.mark.long

MOST_MEMORY = 200 << 20
MOST_SECONDS = 10
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


class Trap:
    """A pickle of it, loaded, leaves the file behind."""

    def __init__(self, ran: Path) -> None:
        self.ran = ran

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.ran,)


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that no test may leave; the current folder is one below it, and nothing may appear beside it."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    yield tmp_path / "ran"
    assert [path.name for path in tmp_path.iterdir()] == ["work"]


def test_the_trap_works(ran: Path) -> None:
    pickle.loads(pickle.dumps(Trap(ran)))  # noqa: S301
    ran.unlink()


@contextmanager
def refused(match: str, *, memory: int = MOST_MEMORY) -> Iterator[None]:
    """The attempt ends in one line that matches, within the limits."""
    before, begin = _peak(reset=True), time.monotonic()
    with pytest.raises(InputError, match=match) as caught:
        yield
    taken, seconds = _peak() - before, time.monotonic() - begin
    assert taken < memory, f"{taken >> 20} MiB"
    assert seconds < MOST_SECONDS
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 3000


def _peak(*, reset: bool = False) -> int:
    """The most memory of this process since the last reset, bytes."""
    if reset:
        ctypes.CDLL(None).malloc_trim(
            0
        )  # what other tests gave back and the heap has kept: it would hide what is taken
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) << 10


def test_the_measure_of_memory_sees_what_was_taken_and_given_back() -> None:
    np.ones(200 << 20, np.uint8)
    before = _peak(reset=True)
    np.ones(60 << 20, np.uint8)
    assert 55 << 20 < _peak() - before < 70 << 20


def prepared(source: str) -> None:
    """The stage `prepare` over a user's own images."""
    changes = {"audit": "images", "data.min_per_class": 1, "attacker.knowledge": "population"}
    given = tiny.write_params(paths.PARAMS, changes)
    place = Path("audits/images/data/population")
    place.unlink() if place.is_symlink() else place.rmdir()
    place.symlink_to(Path(source).resolve())
    prepare.main(given)


# -- our own code ----------------------------------------------------------------------------------------------------

MODULES = {"pickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "code", "yaml"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
CALLS = {
    *("read_pickle", "to_pickle", "read_hdf", "load_pickle", "fromfile", "PyExtensionType"),
    *("os.system", "os.popen", "torch.load", "torch.save", "torch.jit.load", "torch.hub.load", "joblib.load"),
    *("joblib.dump", "yaml.load", "tempfile.mktemp", "extractall", "unpack_archive", "frompickle"),
}
# Pickles of our own, between processes that we started ourselves: none is read from a file, and none from a remote.
ALLOWED = {
    "src/mia/compute/workers.py": {"multiprocessing", "concurrent.futures"},  # tasks and their results
    "src/mia/compute/ray_cluster.py": {"ray"},  # the same
    "src/mia/compute/forks.py": {"multiprocessing", "concurrent.futures"},  # the same
    "src/mia/compute/forking.py": {"multiprocessing"},  # the same
}


def named(node: ast.AST) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def faults(source: str) -> list[str]:
    """What in a file's syntax tree can run what it reads."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
        found += [name for name in names if name.split(".")[0] in MODULES or name in CALLS]
        if isinstance(node, ast.Call):
            name = named(node.func)
            if name in BUILTINS | CALLS or name.rpartition(".")[2] in CALLS:
                found.append(name)
            for keyword in node.keywords:
                given = ast.unparse(keyword.value)
                if (keyword.arg, given) in {("shell", "True"), ("allow_pickle", "True"), ("weights_only", "False")}:
                    found.append(f"{name}({keyword.arg}={given})")
                if keyword.arg == "trusted" and given == "True":
                    found.append(f"{name}(trusted=True)")
            if name in ("np.load", "numpy.load") and not any(
                keyword.arg == "allow_pickle" and ast.unparse(keyword.value) == "False" for keyword in node.keywords
            ):
                found.append(f"{name} without allow_pickle=False")
            if name == "YAML" and not ast.unparse(node).startswith("YAML(typ='safe'"):
                found.append(ast.unparse(node))
    return found


FILES = sorted(path.relative_to(pipeline.ROOT).as_posix() for path in pipeline.SRC.rglob("*.py"))


@pytest.mark.parametrize("name", FILES)
def test_nothing_in_our_code_unpickles_evaluates_or_asks_a_shell(name: str) -> None:
    source = (pipeline.ROOT / name).read_text()
    assert faults(source) == []
    between_processes = {
        user
        for user in ("multiprocessing", "concurrent.futures", "ray", "joblib.Parallel")
        if re.search(rf"^\s*(import|from) {re.escape(user)}\b", source, re.M)
        or (user == "joblib.Parallel" and "from joblib import Parallel" in source)
    }
    assert between_processes == ALLOWED.get(name, set())


@pytest.mark.parametrize(
    "line",
    [
        *("import pickle", "from pickle import loads", "import dill as d", "import shelve", "import marshal"),
        *("import torch; torch.load('x')", "from torch import load", "import joblib; joblib.load('x')"),
        *("np.load('x')", "np.load('x', allow_pickle=True)", "pd.read_pickle('x')", "eval('1')", "exec('1')"),
        *("import yaml", "YAML(typ='unsafe').load('x')", "subprocess.run('x', shell=True)", "os.system('x')"),
        *("skops.io.loads(x, trusted=True)", "tarfile.open('x').extractall()", "__import__('pickle')"),
    ],
)
def test_the_search_finds(line: str) -> None:
    assert faults(line)


# -- pickles under other names ---------------------------------------------------------------------------------------


def describe(path: Path, content: bytes, **changes: Any) -> None:
    """Put content in a model's place, its digest and the description's own too: who writes one writes both."""
    path.write_bytes(content)
    named = path.with_suffix(".json") if path.suffix == ".safetensors" else path.with_name("attack.json")
    described = sealed_json.unseal(named.read_text())
    digest: Any = hashlib.sha256(content).hexdigest()
    described["sha256"] = {"-1": digest} if named.name == "attack.json" else digest
    named.write_text(sealed_json.seal({**described, **changes}))


@pytest.fixture
def target(ran: Path) -> Path:
    shape = (8, 8, 1)
    weights = checkpoints.weights(building.create("shokri_cnn", shape, 3, seed=1))
    checkpoints.save(paths.TARGET_MODEL, [(Description(0, "shokri_cnn", shape, 3), weights)])
    return paths.TARGET_MODEL / "0.safetensors"


KNOWN = np.random.default_rng(0).normal(size=(80, 4))


def fitted(family: str, **settings: Any) -> Path:
    labels, is_member = np.zeros(80, np.int64), KNOWN[:, 0] > 0
    given = {"n_estimators": 3} if family in ("extra_trees", "bagging", "ada_boost") else settings
    model = learned.fit(family, given, ("a", "b", "c", "d"), KNOWN, labels, is_member, per_class=False, seed=0)
    at = paths.ATTACK_MODEL / "learned"
    at.mkdir(parents=True, exist_ok=True)
    learned.save(at, model)
    return at / "all.skops"


def pickles(ran: Path) -> dict[str, bytes]:
    as_torch, as_joblib = io.BytesIO(), io.BytesIO()
    torch.save(Trap(ran), as_torch)
    joblib.dump(Trap(ran), as_joblib)
    return {"pickle": pickle.dumps(Trap(ran)), "torch": as_torch.getvalue(), "joblib": as_joblib.getvalue()}


@pytest.mark.parametrize("kind", ["pickle", "torch", "joblib"])
def test_a_pickle_in_a_models_place_is_no_model(target: Path, ran: Path, kind: str) -> None:
    describe(target, pickles(ran)[kind])
    with refused("0.safetensors: weights do not fit"):
        checkpoints.load(paths.TARGET_MODEL, 0)


@pytest.mark.parametrize("kind", ["pickle", "torch", "joblib"])
def test_a_pickle_in_an_attack_models_place_is_no_attack_model(ran: Path, kind: str) -> None:
    attack = fitted("extra_trees")
    describe(attack, pickles(ran)[kind])
    with refused("all.skops: not an attack model"):
        learned.load(attack.parent)


@pytest.mark.parametrize("kind", ["pickle", "torch", "joblib"])
def test_a_pickle_among_images_or_as_their_archive_or_table_is_no_image(ran: Path, kind: str) -> None:
    Path("images/a").mkdir(parents=True)
    for name in ("images/a/0.png", "images.zip", "images.parquet"):
        Path(name).write_bytes(pickles(ran)[kind])
    for name in ("images", "images.zip", "images.parquet"):
        with refused(f"{name}: "):
            prepared(name)


def test_the_python_version_of_cifar10_is_not_read(ran: Path) -> None:
    with tarfile.open("cifar-10-python.tar.gz", "w:gz") as archive:
        for name in ("data_batch_1", "batches.meta"):
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(pickle.dumps(Trap(ran)))
            archive.addfile(member, io.BytesIO(pickle.dumps(Trap(ran))))
    with refused("expected the binary version of CIFAR-10, data_batch_1.bin, "):
        cifar10.load(Path("cifar-10-python.tar.gz"), Path())


def test_extension_types_of_a_table_are_not_unpickled(ran: Path) -> None:
    extension = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Trap(ran)),
    }
    kinds = {"image": STRUCT, "label": pa.int64()}
    schema = pa.schema([pa.field(name, kind, metadata=extension) for name, kind in kinds.items()])
    rows = [{"bytes": png(), "path": None}, {"bytes": b"x", "path": None}]
    table = pa.table([pa.array(rows, STRUCT), pa.array([0, 1])], schema=schema)
    pq.write_table(table, "x.parquet")
    with refused("x.parquet: x.parquet:1: not a PNG, "):
        prepared("x.parquet")
    pq.write_table(
        table.replace_schema_metadata({b"pandas": pickle.dumps(Trap(ran)), b"mia.version": parquet.FORMAT}),
        "y.parquet",
    )
    with refused("y.parquet: "):
        parquet.read(Path("y.parquet"), stored_records.RECORDS)


# -- .npy ------------------------------------------------------------------------------------------------------------


def npy(header: str) -> bytes:
    padded = header + " " * (63 - (len(header) + 10) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded.encode() + bytes(64)


def shape_of(shape: str, kind: str = "'|u1'") -> str:
    return f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}"


@pytest.mark.parametrize(
    "header",
    [
        shape_of("(20000000000, 1, 1, 1)"),
        shape_of("(99999999999999999999999, 1, 1, 1)"),
        shape_of("(-1, 1, 1, 1)"),
        shape_of("(1, 1, 1, 1)", "'|V2000000000'"),
        shape_of("(1, 1, 1, 1)", "'|O'"),
        shape_of("(1, 1, 1, 1)", "[('a', '|u1'), ('b', '|O')]"),
        shape_of("(__import__('pathlib').Path('../ran').touch(),)"),
        "(" * 9000,
        "",
    ],
)
def test_a_header_of_images_is_a_claim_and_no_code(ran: Path, header: str) -> None:
    images = np.zeros((2, 4, 4, 1), np.uint8)
    stored_records.save(paths.POPULATION, Records(images, np.arange(2), ("a", "b"), None, np.array(["x", "y"])))
    (paths.POPULATION / "images.npy").write_bytes(npy(header))
    with refused("data/population: damaged"):
        stored_records.load(paths.POPULATION)


def test_images_that_are_a_pickle_are_not_loaded(ran: Path) -> None:
    images = np.zeros((2, 4, 4, 1), np.uint8)
    stored_records.save(paths.POPULATION, Records(images, np.arange(2), ("a", "b"), None, np.array(["x", "y"])))
    np.save(paths.POPULATION / "images.npy", np.array([Trap(ran)], object), allow_pickle=True)
    for content in ((paths.POPULATION / "images.npy").read_bytes(), *pickles(ran).values()):
        (paths.POPULATION / "images.npy").write_bytes(content)
        with refused("data/population"):
            stored_records.load(paths.POPULATION)


# -- skops -----------------------------------------------------------------------------------------------------------


def state(kind: str, loader: str, **more: Any) -> dict[str, Any]:
    module, _, name = kind.rpartition(".")
    return {"__class__": name, "__module__": module, "__loader__": loader, **more}


def literal(value: Any) -> dict[str, Any]:
    return state("builtins.str", "JsonNode", content=json.dumps(value), is_json=True)


def several(*values: Any, loader: str = "TupleNode") -> dict[str, Any]:
    return state("builtins.tuple" if loader == "TupleNode" else "builtins.list", loader, content=list(values))


TOUCH = {"func": state("pathlib.Path.touch", "FunctionNode"), "args": several(literal("../ran"))}
TOUCHING = {
    "a function": state("os.system", "FunctionNode"),
    "a function where a type should be": state("os.system", "TypeNode"),
    "a call": state("subprocess.Popen", "ConstructorFromReduceNode", content=several(literal("touch ../ran"))),
    "a partial": state(
        "functools.partial",
        "PartialNode",
        content={**TOUCH, "kwds": literal({}), "namespace": literal(None)},
    ),
    "a method": state(
        "pathlib.Path",
        "MethodNode",
        content={
            "func": "touch",
            "obj": state("pathlib.Path", "ConstructorFromReduceNode", content=several(literal("../ran"))),
        },
    ),
    "an operator": state("operator.methodcaller", "OperatorFuncNode", attrs=several(literal("touch"))),
    "a dictionary whose keys are made by a function": state(
        "builtins.dict",
        "DictNode",
        key_types=several(state("os.system", "FunctionNode"), loader="ListNode"),
        content={"touch ../ran": literal(1)},
    ),
    "a loader that there is not": state("os.system", "NoSuchNode"),
    "a loader of an older protocol": state(
        "os.system", "FunctionNode", content={"module_path": "os", "function": "system"}
    ),
    "an object of another family": state("sklearn.ensemble._voting.VotingClassifier", "ObjectNode"),
}


def rewritten(attack: Path, change: Callable[[Any], Any]) -> bytes:
    """The file, its schema changed."""
    with zipfile.ZipFile(attack) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["schema.json"] = json.dumps(change(json.loads(members["schema.json"]))).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize("name", TOUCHING)
@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_a_skops_file_with_code_in_it_is_refused_by_what_it_holds(ran: Path, name: str, protocol: int) -> None:
    attack = fitted("lda")

    def change(schema: Any) -> Any:
        schema["content"]["content"]["verbose"] = TOUCHING[name]  # an attribute of a type that is trusted
        return {**schema, "protocol": protocol}

    describe(attack, rewritten(attack, change))
    with refused("all.skops: holds types that are not trusted: "):
        learned.load(attack.parent)


def system(values: Any) -> Any:
    return values


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(FunctionTransformer(system)),
        make_pipeline(FunctionTransformer(np.log1p)),
        make_pipeline(CountVectorizer(input="filename")),
        FunctionTransformer(),
    ],
)
def test_of_scikit_learn_only_what_our_families_are_made_of_is_loaded(ran: Path, model: Any) -> None:
    """The last three skops loads of itself; one of them reads files whose names it is given."""
    attack = fitted("lda")
    describe(attack, skops.io.dumps(model))
    with refused("all.skops: holds types that are not trusted: .*(FunctionTransformer|CountVectorizer)"):
        learned.load(attack.parent)


def test_no_attribute_is_a_pipeline(ran: Path) -> None:
    attack = fitted("lda")
    describe(attack, skops.io.dumps({"predict_proba": [1, 2]}))
    with refused("all.skops: not an attack model .*expected a Pipeline, got dict"):
        learned.load(attack.parent)


def crafted(family: str, change: Callable[[Any], None]) -> Path:
    """An attack model of ours, one thing in it other than it was fitted, stored as an attacker would."""
    attack = fitted(family)
    estimator = copy.deepcopy(learned.load(attack.parent).by_class[-1])
    change(estimator[-1])
    describe(attack, skops.io.dumps(estimator))
    return attack.parent


def node(**values: int) -> Callable[[Any], None]:
    """The root of the first tree is another."""

    def change(classifier: Any) -> None:
        tree = classifier.estimators_[0].tree_ if hasattr(classifier, "estimators_") else classifier.tree_
        stored = tree.__getstate__()
        stored["nodes"] = stored["nodes"].copy()
        for name, value in values.items():
            stored["nodes"][name][0] = value
        tree.__setstate__(stored)

    return change


def predictor(**values: int) -> Callable[[Any], None]:
    def change(classifier: Any) -> None:
        for name, value in values.items():
            classifier._predictors[0][0].nodes[name][0] = value

    return change


def attribute(name: str, value: Any) -> Callable[[Any], None]:
    return lambda classifier: setattr(classifier, name, value)


def width(classifier: Any) -> None:
    classifier.n_features_in_ = 3
    for tree in classifier.estimators_:
        tree.n_features_in_ = 3


def neighbours(classifier: Any) -> None:
    classifier._y, classifier._tree = np.full(80, 1 << 30), None


OUT, ROUND = "a tree whose nodes lead out of it or back", "a tree that asks for more than"
CRAFTED: dict[str, tuple[str, Callable[[Any], None], str]] = {
    "a child outside": ("extra_trees", node(left_child=1 << 40), OUT),
    "a child before the first": ("extra_trees", node(right_child=-5), OUT),
    "a child that is its own parent": ("decision_tree", node(left_child=0, right_child=0), OUT),
    "a feature outside": ("extra_trees", node(feature=1 << 30), ROUND),
    "a feature before the first": ("bagging", node(feature=-3), ROUND),
    "a boosted tree's child outside": ("hist_gradient_boosting", predictor(left=1 << 30), OUT),
    "a boosted tree's child that is its own parent": ("hist_gradient_boosting", predictor(right=0), OUT),
    "a boosted tree's feature outside": ("hist_gradient_boosting", predictor(feature_idx=1 << 30), ROUND),
    "a boosted tree's category outside": ("hist_gradient_boosting", predictor(is_categorical=1), "by categories"),
    "a width that is not the trees'": ("extra_trees", width, "expected 4 features, got 3"),
    "neighbours of a class that there is not": ("k_neighbors", neighbours, "out of bounds"),
    "neighbours' index": ("k_neighbors", lambda known: known.fit(known._fit_X, known._y), "KDTree"),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_a_model_whose_every_type_is_trusted_does_not_lead_out_of_memory(ran: Path, name: str) -> None:
    """scikit-learn would follow it: to a crash, into memory that is not the array's, or for ever."""
    family, change, said = CRAFTED[name]
    at = crafted(family, change)
    with refused(f"all.skops: .*{said}"):
        learned.load(at)


def test_a_models_threads_are_not_the_files(ran: Path) -> None:
    at = crafted("extra_trees", attribute("n_jobs", 100_000))
    assert learned.load(at).by_class[-1][-1].n_jobs is None


def bombs(attack: Path) -> dict[str, bytes]:
    def nested(schema: Any) -> Any:
        for _ in range(400):
            schema = {**several(schema), "protocol": 2}
        return schema

    def doubling(schema: Any) -> Any:
        inner = {**several(), "__id__": 1}
        for number in range(2, 60):
            inner = {**several(inner, {"__id__": number - 1, "__loader__": "TupleNode"}), "__id__": number}
        return {**inner, "protocol": schema["protocol"]}

    def giant(schema: Any) -> Any:
        schema["content"]["content"]["verbose"] = state("numpy.ndarray", "NdArrayNode", type="numpy", file="x.npy")
        return schema

    out = {"nested": rewritten(attack, nested), "doubling": rewritten(attack, doubling)}
    out["brackets"] = raw_zip([("schema.json", b"[" * 100_000, 100_000, False)])
    out["zeros"] = raw_zip([("schema.json", bytes(300 << 20), 300 << 20, True)])
    out["zeros that say they are few"] = raw_zip([("schema.json", bytes(300 << 20), 10, True)])
    bz = io.BytesIO()
    with zipfile.ZipFile(bz, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("schema.json", bytes(1000))
    out["bzip2"] = bz.getvalue()
    array = io.BytesIO(rewritten(attack, giant))
    with zipfile.ZipFile(array, "a") as archive:
        archive.writestr("x.npy", npy(shape_of("(20000000000000,)")))
    return out | {"array": array.getvalue()}


def test_a_skops_file_that_grows_is_refused(ran: Path) -> None:
    attack = fitted("lda")
    found = bombs(attack)
    assert all(len(content) < 1 << 20 for content in found.values())
    for name, content in found.items():
        describe(attack, content)
        with refused("all.skops: (not an attack model|holds types)"):
            learned.load(attack.parent)
        assert name


# -- archives --------------------------------------------------------------------------------------------------------


def deflate(content: bytes) -> bytes:
    press = zlib.compressobj(6, zlib.DEFLATED, -15)
    return press.compress(content) + press.flush()


def raw_zip(members: list[tuple[str, bytes, int, bool]], method: int = 8) -> bytes:
    """A zip of (name, content, declared size, packed): sums are those of what is declared, as a liar has them.

    method: how what is packed was packed; 12: bzip2, and content is zeros.
    """
    body, directory = b"", b""
    done: dict[int, tuple[bytes, int]] = {}
    for name, content, size, packed in members:
        if id(content) not in done:
            pack = deflate if method == 8 else lambda content: zeros(len(content) >> 20)
            done[id(content)] = pack(content) if packed else content, zlib.crc32(memoryview(content)[:size])
        data, total = done[id(content)]
        sizes = len(data), size, len(name.encode())
        fields = struct.pack("<HHHHHIIIHH", 20, 0x800, method * packed, 0, 33, total, *sizes, 0)
        directory += (
            b"PK\x01\x02\x14\x00" + fields + struct.pack("<HHHII", 0, 0, 0, 0o100644 << 16, len(body)) + name.encode()
        )
        body += b"PK\x03\x04" + fields + name.encode() + data
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(body), 0)
    return body + directory + b"PK\x05\x06" + end


def test_the_writer_of_zips_writes_zips() -> None:
    with zipfile.ZipFile(io.BytesIO(raw_zip([("a", b"xyz", 3, True), ("b", b"abc", 3, False)]))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"a": b"xyz", "b": b"abc"}


def tar(*members: tuple[str, dict[str, Any], bytes]) -> bytes:
    out = io.BytesIO()
    for name, fields, data in members:
        member = tarfile.TarInfo(name)
        for field, value in {"size": len(data), **fields}.items():
            setattr(member, field, value)
        out.write(member.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512))
    return out.getvalue() + bytes(1024)


@cache
def zeros(megabytes: int) -> bytes:
    """So many, by bzip2."""
    press = bz2.BZ2Compressor()
    return b"".join(press.compress(bytes(1 << 20)) for _ in range(megabytes)) + press.flush()


LINK = {"type": tarfile.SYMTYPE, "linkname": "../../ran"}
MEBI = bytes(60 << 20)
ARCHIVES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "zip slip": ("x.zip", lambda: raw_zip([("a/../../../ran", b"x", 1, False)]), "leads out of the archive"),
    "zip slip by a drive": ("x.zip", lambda: raw_zip([("C:\\ran", b"x", 1, False)]), "leads out of the archive"),
    "tar slip": ("x.tar", lambda: tar(("../ran", {}, b"x")), "leads out of the archive"),
    "tar slip by a root": ("x.tar", lambda: tar(("/ran", {}, b"x")), "leads out of the archive"),
    "a link, and a file through it": (
        "x.tar",
        lambda: tar(("a", LINK, b""), ("a/0.png", {}, b"x")),
        "a link or a device",
    ),
    "a hard link": ("x.tar", lambda: tar(("a", {**LINK, "type": tarfile.LNKTYPE}, b"")), "a link or a device"),
    "a device": ("x.tar", lambda: tar(("a", {"type": tarfile.BLKTYPE}, b"")), "a link or a device"),
    "zeros": ("x.zip", lambda: raw_zip([("a/0.png", bytes(70 << 20), 70 << 20, True)]), "a file may have"),
    "zeros again and again": (
        "x.zip",
        lambda: raw_zip([(f"a/{number}.txt", MEBI, 60 << 20, True) for number in range(40)]),
        "may unpack to",
    ),
    "zeros that say they are few": ("x.zip", lambda: raw_zip([("a/0.png", bytes(300 << 20), 10, True)]), "not a PNG"),
    "zeros by bzip2 that say they are few": (
        "x.zip",
        lambda: raw_zip([("a/0.png", bytes(300 << 20), 10, True)], method=12),
        "compression method",
    ),
    "a header of zeros": (
        "x.tar.bz2",
        lambda: bz2.compress(tar(("x", {"type": tarfile.XHDTYPE, "size": 1 << 30}, b""))[:512]) + zeros(300),
        "a header of 1,073,741,824 bytes",
    ),
    "a name of zeros": (
        "x.tar.bz2",
        lambda: bz2.compress(tar(("x", {"type": tarfile.GNUTYPE_LONGNAME, "size": 1 << 30}, b""))[:512]) + zeros(300),
        "a header of 1,073,741,824 bytes",
    ),
    "an escape in a name": ("x.zip", lambda: raw_zip([("a/\x1b[2J.png", b"x", 1, False)]), "cannot be shown"),
    "a second line in a name": ("x.zip", lambda: raw_zip([("a/\nerror: x.png", b"x", 1, False)]), "cannot be shown"),
    "a name that reads as another": ("x.zip", lambda: raw_zip([("a/\u202egnp.exe", b"", 0, False)]), "cannot be shown"),
    "an escape in a tar's name": ("x.tar", lambda: tar(("a/\x1b]0;x\x07.png", {}, b"x")), "cannot be shown"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_neither_climbs_nor_bursts(ran: Path, name: str) -> None:
    file, content, said = ARCHIVES[name]
    Path(file).write_bytes(content())
    assert Path(file).stat().st_size < 4 << 20
    with refused(f"{file}: .*{said}"):
        prepared(file)


def test_an_archive_of_too_many_members_is_refused_while_they_are_counted(
    ran: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 1000)
    Path("x.zip").write_bytes(raw_zip([(f"a/{number}.txt", b"", 0, False) for number in range(1001)]))
    Path("x.tar.gz").write_bytes(gzip.compress(tar(*[(f"a/{number}.txt", {}, b"") for number in range(1001)])))
    for file in ("x.zip", "x.tar.gz"):
        with refused(f"{file}: an archive may have 1,000 files, got more"):
            list(archives.files(Path(file)))


def test_a_tar_that_unpacks_to_too_much_is_refused_on_the_way(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "UNPACKED", 10 << 20)
    Path("x.tar.gz").write_bytes(gzip.compress(tar(*[(f"a/{n}.txt", {}, bytes(1 << 20)) for n in range(40)])))
    read = []
    with refused("x.tar.gz: an archive of its size may unpack to"):
        read += [len(data) for _, data in archives.files(Path("x.tar.gz"))]
    sparse = tarfile.TarInfo("a/0.txt")
    sparse.type, sparse.size = tarfile.GNUTYPE_SPARSE, 0
    head = bytearray(sparse.tobuf(tarfile.GNU_FORMAT))
    head[483:495] = b"%011o\0" % (60 << 20)  # its size, all of it a hole
    head[148:156] = b"%06o\0 " % (sum(head[:148]) + 8 * 32 + sum(head[156:]))
    Path("x.tar").write_bytes(bytes(head) * 2 + bytes(1024))
    with refused(r"x.tar: (an archive of its size may unpack to|holds a/0.txt twice)"):
        list(archives.files(Path("x.tar")))


@pytest.mark.parametrize("name", ["\x1b[2J", "x\nerror: all is well", b"\xff\xfe".decode("utf-8", "surrogateescape")])
def test_a_folders_names_do_nothing_to_the_terminal(ran: Path, name: str) -> None:
    Path("images", name).mkdir(parents=True)
    Path("images", name, "0.png").write_bytes(png())
    with refused("images: the name .* has characters that cannot be shown"):
        prepared("images")


def test_what_an_error_says_of_others_words_is_written_out() -> None:
    said = str(InputError("x\x1b]52;c;eA==\x07\r\x9b31m\u202ey\udc80\nsecond é 漢"))
    assert said == "x\\x1b]52;c;eA==\\x07\\r\\x9b31m\\u202ey\\udc80\nsecond é 漢"


# -- Parquet ---------------------------------------------------------------------------------------------------------


def images_table(values: list[bytes], **options: Any) -> Path:
    parts = [pa.array(values, pa.binary()), pa.nulls(len(values), pa.string())]
    rows = pa.StructArray.from_arrays(parts, fields=list(STRUCT))
    table = pa.table({"image": rows, "label": pa.array([0] * len(values))})
    options = {"compression": "zstd", "use_dictionary": False, "write_statistics": False, **options}
    pq.write_table(table, "x.parquet", **options)
    return Path("x.parquet")


def varint(value: int, width: int) -> bytes:
    """A number of Thrift's in so many bytes, more than it needs."""
    value *= 2
    return bytes((value >> 7 * at & 127) | (128 if at < width - 1 else 0) for at in range(width))


def lie(path: Path, truth: int, claim: int, *, in_footer: bool) -> None:
    """Replace a size, once in the first page's header or wherever the footer has it."""
    content = path.read_bytes()
    width = (2 * truth).bit_length() // 7 + ((2 * truth).bit_length() % 7 > 0)
    foot = len(content) - 8 - struct.unpack("<I", content[-8:-4])[0]
    head, tail = (content[:foot], content[foot:]) if in_footer else (content[:40], content[40:])
    changed = tail if in_footer else head
    assert varint(truth, width) in changed
    changed = changed.replace(varint(truth, width), varint(claim, width))
    path.write_bytes(head + changed if in_footer else changed + tail)


def test_zeros_in_a_table_are_refused_by_what_their_pages_declare(ran: Path) -> None:
    path = images_table([bytes(250 << 20)])
    with refused("x.parquet: not a whole Parquet file .it unpacks to more than"):
        prepared("x.parquet")
    declared = pq.read_metadata(path).row_group(0).column(0).total_uncompressed_size
    lie(path, declared, 100, in_footer=True)
    assert pq.read_metadata(path).row_group(0).column(0).total_uncompressed_size == 100
    with refused("x.parquet: not a whole Parquet file .it unpacks to more than"):
        prepared("x.parquet")


@pytest.mark.parametrize("claim", [100, 2**31 - 1])
def test_a_page_that_lies_about_its_size_is_damage(ran: Path, claim: int) -> None:
    path = images_table([bytes(8 << 20)])
    lie(path, (8 << 20) + 4 + 6, claim, in_footer=False)
    with refused("x.parquet: not a whole Parquet file"):
        prepared("x.parquet")


def test_one_value_for_every_row_is_not_made_for_a_thousand_rows_at_once(ran: Path) -> None:
    images_table([bytes(4 << 20)] * 150, use_dictionary=True, dictionary_pagesize_limit=1 << 30)
    with refused(r"x.parquet: x.parquet:0: not a PNG, .* image \(and 149 more\)", memory=400 << 20):
        prepared("x.parquet")


def test_an_encoding_by_which_each_row_repeats_the_last_is_refused(ran: Path) -> None:
    images_table([bytes(1 << 20)] * 300, column_encoding={"image.bytes": "DELTA_BYTE_ARRAY"})
    with refused("x.parquet: not a whole Parquet file .DELTA_BYTE_ARRAY is not read here"):
        prepared("x.parquet")


def test_what_is_not_needed_of_a_table_is_not_unpacked(ran: Path) -> None:
    rows = [{"bytes": b"x", "path": "x" * (100 << 20)}]
    pq.write_table(pa.table({"image": pa.array(rows, STRUCT), "label": [0], "more": ["y" * (100 << 20)]}), "x.parquet")
    before = _peak(reset=True)
    with pytest.raises(InputError, match=r"x.parquet:0: not a PNG"):
        prepared("x.parquet")
    assert _peak() - before < 60 << 20


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"image": [{"bytes": "text"}], "label": [0]}, "a struct {bytes: binary, path}"),
        ({"image": [{"bytes": [1, 2]}], "label": [0]}, "a struct {bytes: binary, path}"),
        ({"image": [{"\x1b[31m\n": 1}], "label": [0]}, "a struct {bytes: binary, path}"),
    ],
)
def test_a_column_of_another_kind_is_refused(ran: Path, columns: Any, said: str) -> None:
    pq.write_table(pa.table(columns), "x.parquet")
    with refused(said):
        prepared("x.parquet")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a", "</script><script>alert(1)</script>"], "and no <"),
        (["a", "\x1b[2J"], "that can be shown"),
        (["a", "x" * 100_000], "1 to 255 characters"),
        (["a", ""], "1 to 255 characters"),
    ],
)
def test_a_class_is_named_by_what_can_be_shown_anywhere(ran: Path, names: list[str], said: str) -> None:
    rows = [{"bytes": png(shade), "path": None} for shade in (0, 9)]
    features = json.dumps({"info": {"features": {"label": {"names": names}}}})
    table = pa.table({"image": pa.array(rows, STRUCT), "label": [0, 1]})
    pq.write_table(table.replace_schema_metadata({b"huggingface": features.encode()}), "x.parquet")
    with refused(said):
        prepared("x.parquet")


@pytest.mark.parametrize("metadata", ["[" * 100_000, '{"info": {"features": {"label": {"names": 7}}}}', "\xff"])
def test_metadata_that_are_none_are_passed_over(ran: Path, metadata: str) -> None:
    rows = [{"bytes": png(shade), "path": None} for shade in (0, 9)]
    table = pa.table({"image": pa.array(rows, STRUCT), "label": [0, 1]})
    pq.write_table(table.replace_schema_metadata({b"huggingface": metadata.encode("latin-1")}), "x.parquet")
    assert folder.load(Path("x.parquet"), min_per_class=1).classes == ("0", "1")


def test_a_thousand_kinds_of_faults_are_told_in_few_words(ran: Path) -> None:
    rows = [{"bytes": png(), "path": None}] * 2000
    table = pa.table({"image": pa.array(rows, STRUCT), "label": list(range(-2000, 0))})
    pq.write_table(table, "x.parquet")
    with refused("and 1,990 more faults"):
        prepared("x.parquet")


# -- images ----------------------------------------------------------------------------------------------------------


def png(shade: int = 0) -> bytes:
    out = io.BytesIO()
    Image.new("L", (4, 4), shade).save(out, "PNG")
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, *chunks: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")


def saved(kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, kind, **options)
    return out.getvalue()


def gif_of(width: int, height: int, frame_width: int, frame_height: int, *, frames: int = 1) -> bytes:
    """A GIF whose frames are of another size than it says."""
    frame = b"," + struct.pack("<HHHHB", 0, 0, frame_width, frame_height, 0) + b"\x02\x02\x4c\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + frame * frames + b";"


def tiff_of(width: int, height: int, pixels: bytes = b"", *, packing: int = 1, following: int = 0) -> bytes:
    """A grey TIFF of one strip. packing: 1 none, 8 deflate. following: where the next page is."""
    start = 8 + 2 + 9 * 12 + 4
    tags = [(256, width), (257, height), (258, 8), (259, packing), (262, 1), (273, start), (277, 1), (278, height)]
    tags += [(279, len(pixels))]
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + fields + struct.pack("<I", following) + pixels


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(../ran) (w) file closefile\n%%EOF\n"
ZEROS = zlib.compress(bytes(80 << 20), 9)
PLAIN = chunk(b"IDAT", zlib.compress(bytes(20)))
NO_IMAGE, SMALL = image_files.NO_IMAGE, "an image may have 1,048,576 pixels"
CUT = "cut short or damaged"
ONE_CLASS = "expected 2 to 1,000 classes"  # the image itself is read, and what is odd of it passed over
TEXT = b"x\0\0" + ZEROS
IMAGES: dict[str, tuple[Callable[[], bytes], str]] = {
    "a giant": (lambda: png_of(100_000, 100_000, chunk(b"IDAT", ZEROS)), SMALL),
    "a giant of one line": (lambda: png_of(2**31 - 1, 1, chunk(b"IDAT", b"")), SMALL),
    "a giant BMP": (
        lambda: b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
        SMALL,
    ),
    "a picture without pixels": (lambda: png_of(1024, 1024), CUT),
    "more pixels than it says": (lambda: png_of(4, 4, chunk(b"IDAT", ZEROS)), ONE_CLASS),
    "text": (lambda: png_of(4, 4, chunk(b"zTXt", TEXT), PLAIN), NO_IMAGE),
    "text behind the pixels": (lambda: png_of(4, 4, PLAIN, chunk(b"zTXt", TEXT)), CUT),
    "many texts": (
        lambda: png_of(4, 4, *[chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(1 << 20)))] * 200, PLAIN),
        NO_IMAGE,
    ),
    "a profile": (lambda: png_of(4, 4, chunk(b"iCCP", TEXT), PLAIN), NO_IMAGE),
    "many frames": (
        lambda: saved("PNG", save_all=True, append_images=[Image.new("RGB", (4, 4), (n, 0, 0)) for n in range(50)]),
        ONE_CLASS,
    ),
    "frames that are declared": (
        lambda: png_of(4, 4, chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)), PLAIN),
        ONE_CLASS,
    ),
    "PostScript, which others hand to Ghostscript": (lambda: POSTSCRIPT, NO_IMAGE),
    **{f"a {kind}": (partial(saved, kind), NO_IMAGE) for kind in ("ICO", "PPM", "PCX", "SGI")},
    "a GIF that grows": (lambda: gif_of(9, 9, 60_000, 60_000), SMALL),
    "a giant GIF": (lambda: gif_of(60_000, 60_000, 9, 9), SMALL),
    "a GIF of many frames": (lambda: gif_of(4, 4, 4, 4, frames=100_000), ONE_CLASS),
    "a giant TIFF": (lambda: tiff_of(60_000, 60_000), SMALL),
    "a TIFF without pixels": (lambda: tiff_of(1000, 1000), CUT),
    "a TIFF whose next page is its first": (lambda: tiff_of(4, 4, bytes(16), following=8), ONE_CLASS),
    "a TIFF that packs zeros": (lambda: tiff_of(4, 4, ZEROS, packing=8), ONE_CLASS),
    "a TIFF of a million tags": (lambda: b"II*\0" + struct.pack("<IH", 8, 65_535) + bytes(12 << 20), NO_IMAGE),
    "SVG with an entity": (lambda: b'<!DOCTYPE x [<!ENTITY a "aaaa">]><svg>&a;</svg>', NO_IMAGE),
}


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_takes_no_more_than_its_pixels_and_wakes_no_other_program(ran: Path, name: str) -> None:
    content, said = IMAGES[name]
    Path("images/a").mkdir(parents=True)
    Path("images/a/0.png").write_bytes(content())
    with refused(said):
        prepared("images")


def test_a_giant_that_is_made_smaller_takes_its_own_pixels_alone(ran: Path) -> None:
    """89 megapixels of a translucent picture are 358 MB; with what lies below it, three times that."""
    head = struct.pack(">IIBBBBB", 9000, 9900, 8, 6, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(bytes(9900 * (1 + 4 * 9000))))
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + rows + chunk(b"IEND", b"")
    before = _peak(reset=True)
    image, changes = image_files.decode(content, (32, 32))
    assert changes == ["on_white", "cropped", "reduced"]
    assert (image == 255).all()
    assert _peak() - before < 1200 << 20
    for width, height in ((9000, 9999), (32_769, 1)):
        with pytest.raises(ValueError, match="an image may have"):
            image_files.decode(png_of(width, height), (32, 32))


def test_more_pixels_than_the_disk_holds_are_refused(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixel_file, "free", lambda room: 10_000)
    Path("images/a").mkdir(parents=True)
    for number in range(400):
        Path(f"images/a/{number:03}.png").write_bytes(png())
    with refused("images: the first 313 images are .* more than was free on the disk of "):
        prepared("images")
    images_table([png()] * 400)
    with refused("x.parquet: the first 313 images are"):
        prepared("x.parquet")


# -- weights ---------------------------------------------------------------------------------------------------------


def weights_of(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


FLOAT = {"dtype": "F32", "shape": [4]}
WEIGHTS = {
    "a giant header": weights_of(b"", length=2**63),
    "a header beyond the file": weights_of(b"{}", length=90_000_000),
    "offsets beyond the file": weights_of({"x": {**FLOAT, "data_offsets": [0, 1 << 40]}}),
    "offsets that run back": weights_of({"x": {**FLOAT, "data_offsets": [16, 0]}}, bytes(16)),
    "a shape that overflows": weights_of(
        {"x": {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 16]}}, bytes(16)
    ),
    "tensors over each other": weights_of(
        {name: {**FLOAT, "data_offsets": [0, 16]} for name in "xy"},
        bytes(16),
    ),
    "brackets": weights_of(b'{"x":' + b"[" * 50_000),
    "other tensors": weights_of({"x": {**FLOAT, "data_offsets": [0, 16]}}, bytes(16)),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_are_what_their_description_says_or_refused(target: Path, name: str) -> None:
    describe(target, WEIGHTS[name])
    with refused(r"0.safetensors: weights do not fit .*n_classes=3"):
        checkpoints.load(paths.TARGET_MODEL, 0)


@pytest.mark.parametrize(
    "claim",
    [
        {"n_classes": 10**9},
        {"n_classes": 10**30},
        {"shape": [10**5, 10**5, 3]},
        {"shape": [8, 8, 10**9]},
        {"shape": [8, 8, 10**12]},
        {"n_classes": 10**9, "architecture": "resnet18"},
    ],
)
def test_a_model_is_not_made_as_large_as_its_description_claims(target: Path, claim: dict[str, Any]) -> None:
    describe(target, target.read_bytes(), **claim)
    with refused(r"0.safetensors: weights do not fit"):
        checkpoints.load(paths.TARGET_MODEL, 0)


def test_a_description_of_brackets_is_none(target: Path) -> None:
    target.with_suffix(".json").write_text("[" * 100_000)
    with refused(r"0.json: not the description of a model"):
        checkpoints.load(paths.TARGET_MODEL, 0)


# -- JSON, CSV, YAML -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["[" * 100_000, '{"x":' * 100_000, "NaN", "[Infinity]", "9" * 10_000, "\xff", ""])
def test_metrics_that_are_none_are_one_line(ran: Path, text: str) -> None:
    Path("x.json").write_bytes(text.encode("latin-1"))
    with refused("x.json: not JSON"):
        metrics_files.read_json(Path("x.json"))


def test_what_a_metrics_file_says_does_nothing_to_the_terminal(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured = json.loads((pipeline.ROOT / "docs/results/cifake/attacks.json").read_text())
    measured[0]["attack"] = "loss\x1b[2J"
    metrics_files.write_json(Path("x.json"), measured)
    metrics_files.write_json(Path("not_applicable.json"), {"x": "\x1b]0;owned\x07"})
    assert shown_of("x.json") == 0
    metrics_files.write_json(Path("y.json"), {"\x1b[2J": 1})
    assert shown_of("y.json") == 1
    said = capsys.readouterr()
    assert "loss\\x1b[2J" in said.out
    assert "\x1b" not in said.out + said.err


def shown_of(name: str) -> int:
    return commands.main(["show", name])


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seed: 20170522", f"{LAUGHS}seed: *a9", "seed: expected an integer, got"),
        ("run: all", "run: [*a9]", "attacks.run: unknown attack"),
        ("seed: 20170522", "seed: !!python/object/apply:pathlib.Path.touch ['../ran']", "not YAML: .*constructor"),
        ("seed: 20170522", "seed: !!python/object/new:os.system ['touch ../ran']", "not YAML: .*constructor"),
        ("seed: 20170522", "seed: " + "[" * 1000, "not YAML: brackets in brackets"),
        ("seed: 20170522", 'seed: "\\e[2J"', r"seed: expected an integer, got '\\x1b\[2J'"),
        ("seed: 20170522", f"seed: '{'x' * 1_000_000}'", "seed: expected an integer, got 'xxx"),
    ],
)
def test_params_run_nothing_and_are_told_in_few_words(ran: Path, old: str, new: str, said: str) -> None:
    text = (pipeline.ROOT / "params.yaml").read_text()
    assert text.count(old) == 1
    text = text.replace(old, new)
    Path("params.yaml").write_text(text if "*a9" not in text or LAUGHS in text else LAUGHS + text)
    begin = time.monotonic()
    with pytest.raises(InputError, match=said) as caught:
        params.load(paths.PARAMS)
    assert time.monotonic() - begin < MOST_SECONDS
    assert len(str(caught.value)) < 6000
    assert all(line.isprintable() for line in str(caught.value).splitlines())


# -- figures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["$\\frac{$", "$$", "\\$x$", "a$b", "=cmd|' /C calc'!A0", "x" * 255, "日本", "%s{}"])
def test_a_class_is_drawn_as_it_is_named(ran: Path, name: str) -> None:
    row = {"attack": "loss", "n_member": 9, "n_nonmember": 9, "auc": 0.6, "auc_low": 0.5, "auc_high": 0.7}
    frame = pd.DataFrame([{**row, "class": name}, {**row, "class": "other"}])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)  # no font has every letter
        style.save(classes.figure(frame, {"loss": {"auc": 0.6}}), Path("x.png"))
    assert Path("x.png").stat().st_size > 1000


# -- downloads -------------------------------------------------------------------------------------------------------


@contextmanager
def server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            try:
                answer(self)
            except ConnectionError:
                self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}/x.zip"
        serving.shutdown()
        thread.join()


def heads(request: BaseHTTPRequestHandler, status: int, **named: str) -> None:
    request.send_response(status)
    for name, value in named.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()


def endless(request: BaseHTTPRequestHandler) -> None:
    heads(request, 200)
    while True:
        request.wfile.write(bytes(1 << 16))


def packed(request: BaseHTTPRequestHandler) -> None:
    body = gzip.compress(bytes(200 << 20))
    heads(request, 200, Content_Encoding="gzip", Content_Length=str(len(body)))
    request.wfile.write(body)


def fetched(url: str) -> None:
    downloads.fetch(url, Path("got/x.zip"), known_hash=f"sha256:{'0' * 64}", instead="data.path")


def test_a_server_does_not_fill_the_disk(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "MAX_BYTES", 1 << 20)
    for answer, said in ((endless, "sends more than 1,048,576 bytes"), (packed, "sends a compressed stream")):
        with server(answer) as url, refused(f"x.zip {said}"):
            fetched(url)
        assert not [path for path in Path("got").iterdir() if path.stat().st_size]


@pytest.mark.parametrize("place", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x", "gopher://127.0.0.1/"])
def test_a_server_does_not_send_us_to_our_own_files(ran: Path, place: str) -> None:
    with server(lambda request: heads(request, 302, Location=place, Content_Length="0")) as url, refused("cannot be"):
        fetched(url)
    assert not Path("got/x.zip").exists()


def test_what_another_host_sends_is_judged_by_its_checksum_alone(ran: Path) -> None:
    def other(request: BaseHTTPRequestHandler) -> None:
        heads(request, 200, Content_Length="2")
        request.wfile.write(b"PK")

    with (
        server(other) as elsewhere,
        server(lambda request: heads(request, 302, Location=elsewhere, Content_Length="0")) as url,
        refused("SHA256 hash of downloaded file"),
    ):
        fetched(url)
    assert not Path("got/x.zip").exists()


# -- what is written of it -------------------------------------------------------------------------------------------


def test_every_test_that_security_md_names_is_there() -> None:
    text = (pipeline.ROOT / "SECURITY.md").read_text()
    named_there = set(re.findall(r"`(test_\w+)`", text))
    here = {name for name in globals() if name.startswith("test_")}
    assert named_there <= here
    assert len(named_there) > 20
    for path in re.findall(r"\b((?:tests|src)/[\w/]+\.py)\b", text):
        assert (pipeline.ROOT / path).is_file()

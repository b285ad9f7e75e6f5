"""Networks that are none of ours train with our loop: the user's own, torchvision's, and from given weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

import networks_of_users as own
import pipeline
from mia import params_audit
from mia.data.records import Records
from mia.errors import InputError
from mia.models import building, checkpoints, network_checks, networks, query, resume, snapshots, training
from mia.models.checkpoints import Stored
from mia.models.lessons import Lesson
from mia.models.snapshots import Snapshots
from mia.models.training import Trained
from mia.params_audit import Recipe
from mia.store import sealed_json

SHAPE = (8, 6, 3)
RNG = np.random.default_rng(3)
IMAGES = RNG.integers(0, 256, (50, *SHAPE), dtype=np.uint8)
LABELS = np.arange(50) % 3
RECORDS = Records(IMAGES, LABELS, ("a", "b", "c"), None, np.arange(50).astype(str))
ROWS = np.arange(50)
RECIPE = Recipe(
    architecture="shokri_mlp",
    epochs=2,
    batch_size=10,
    optimizer="sgd",
    learning_rate=0.01,
    schedule="cosine",
    momentum=0.9,
    weight_decay=0.001,
    label_smoothing=0.1,
    augmentation=["flip", "shift", "colour", "rotate", "cutout", "erase"],
    precision="float32",
)


def lesson(model_id: int = 1) -> Lesson:
    rows = np.roll(ROWS, 5 * model_id)
    return Lesson(model_id, rows[:31], rows[31:], 10 + model_id, 20 + model_id, 30 + model_id)


def recipe(architecture: str, **changes: Any) -> Recipe:
    return RECIPE.model_copy(update={"architecture": architecture, **changes})


def train(architecture: str, *group: Lesson, kept: Path | None = None, **changes: Any) -> list[Trained]:
    return training.train(IMAGES, LABELS, 3, recipe(architecture, **changes), kept, group or [lesson()])


def loaded(one: Trained) -> nn.Module:
    return checkpoints.build(Stored(Path("models/0.safetensors"), one.description, one.weights))


@pytest.fixture
def resnet(tmp_path: Path) -> str:
    """Of convolutions, batch, group and layer normalisation, dropout, and `view`."""
    return own.write(tmp_path)


# -- own networks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_own_network_trains_to_the_same_bytes(resnet: str, precision: str) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    (one,) = train(resnet, precision=precision)
    assert torch.equal(before, torch.get_rng_state())
    train(resnet, lesson(2), precision=precision)
    torch.manual_seed(2)
    (again,) = train(resnet, precision=precision)
    assert one.weights == again.weights
    assert one.learning.equals(again.learning)
    assert query.logits(loaded(one), IMAGES).shape == (50, 3)


def test_what_dropout_draws_hangs_on_the_models_seed_and_moves_with_each_step(
    resnet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    dropout = nn.functional.dropout

    def noted(x: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
        made: Tensor = dropout(torch.ones_like(x), p, training, inplace)
        if training:
            seen.append(hash(made.numpy().tobytes()))
        return x * made

    monkeypatch.setattr(nn.functional, "dropout", noted)
    for number in (1, 1, 2):
        train(resnet, lesson(number))
    steps = len(seen) // 3
    assert steps == 6  # two epochs of 31 members, ten a step, the last eleven
    assert seen[:steps] == seen[steps : 2 * steps]
    assert len(set(seen)) == 2 * steps


class CutShortError(Exception):
    pass


@pytest.mark.parametrize("after", [1, 3, 4, 5])
def test_an_own_network_goes_on_to_the_same_bytes(
    resnet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], after: int
) -> None:
    monkeypatch.setenv("MIA_SNAPSHOT_SECONDS", "0")
    monkeypatch.setattr(snapshots, "SHARE", 1e9)
    (undisturbed,) = train(resnet)
    offer, offered = Snapshots.offer, iter(range(1, 100))

    def cut_short(self: Snapshots, state: Any) -> None:
        offer(self, state)
        if next(offered) == after:
            raise CutShortError

    with monkeypatch.context() as patch:
        patch.setattr(Snapshots, "offer", cut_short)
        with pytest.raises(CutShortError):
            train(resnet, kept=tmp_path / "kept")
    (resumed,) = train(resnet, kept=tmp_path / "kept")
    assert f"goes on in epoch {1 if after < 3 else 2} of 2" in capsys.readouterr().err
    assert resumed.weights == undisturbed.weights
    assert resumed.learning.equals(undisturbed.learning)


def test_a_training_by_other_code_does_not_go_on(resnet: str, tmp_path: Path) -> None:
    before = resume.key(IMAGES, LABELS, 3, recipe(resnet), [lesson()])
    (tmp_path / "code/helper.py").write_text("WIDTH = 3\n")
    assert resume.key(IMAGES, LABELS, 3, recipe(resnet), [lesson()]) != before


def test_weights_that_two_layers_share_are_stored_for_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIA_SNAPSHOT_SECONDS", "0")
    monkeypatch.setattr(snapshots, "SHARE", 1e9)
    text = own.small(hidden="x = x.view(len(x), -1)\n        return torch.tanh(self.first(x) + self.second(x))")
    second = "self.second = nn.Linear(height * width * channels, 6)\n        self.second.weight = self.first.weight"
    name = own.write(tmp_path, text.replace("self.logits = nn", f"{second}\n        self.logits = nn"))
    (one,) = train(name, kept=tmp_path / "kept")
    model = loaded(one)
    assert torch.equal(model.first.weight, model.second.weight)  # type: ignore[union-attr, arg-type]


def test_a_stored_network_names_no_folder_of_code(resnet: str, tmp_path: Path) -> None:
    (one,) = train(resnet)
    checkpoints.save(tmp_path / "models", [(one.description, one.weights)])
    described = sealed_json.unseal((tmp_path / "models/1.json").read_text())
    assert described["architecture"] == "own"
    back = checkpoints.load(tmp_path / "models", 1, tmp_path / "code")
    assert np.array_equal(query.logits(back, IMAGES), query.logits(loaded(one), IMAGES))
    with pytest.raises(InputError, match=r"1.safetensors: a network of the user's own, whose code is not at hand"):
        checkpoints.load(tmp_path / "models", 1)


def test_a_stored_model_cannot_name_code_to_run(resnet: str, tmp_path: Path) -> None:
    (one,) = train(resnet)
    checkpoints.save(tmp_path / "models", [(one.description, one.weights)])
    path = tmp_path / "models/1.json"
    described = sealed_json.unseal(path.read_text())
    path.write_text(sealed_json.seal({**described, "architecture": resnet}))
    with pytest.raises(InputError, match="expected an architecture of resnet18, "):
        checkpoints.load(tmp_path / "models", 1, tmp_path / "code")


def test_the_documents_example_trains(tmp_path: Path) -> None:
    page = (pipeline.ROOT / "docs/your-own.md").read_text(encoding="utf-8")
    example = page.partition("### A network of your own")[2].partition("```python\n")[2].partition("```")[0]
    network_checks.check(recipe(own.write(tmp_path, example)), RECORDS)


# -- several in the same steps -----------------------------------------------------------------------------------------


def test_networks_that_draw_nothing_train_in_the_same_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = own.write(tmp_path, own.WITHOUT_DROPOUT)
    assert network_checks.together(name, SHAPE, 3, 4) == 4
    assert capsys.readouterr().err == ""
    stacked = train(name, lesson(1), lesson(2))
    for number, one in enumerate(stacked, 1):
        (alone,) = train(name, lesson(number))
        apart = query.logits(loaded(one), IMAGES) - query.logits(loaded(alone), IMAGES)
        assert np.abs(apart).max() < 1e-4


APART = {
    "dropout": (own.RESNET, "layers draw, as dropout does"),
    "decides": (
        own.small("y = self.hidden(x)\n        return self.logits(y if y.sum() > 0 else -y)"),
        "layers cannot be stacked (",
    ),
}


@pytest.mark.parametrize("case", APART)
def test_others_train_one_by_one_and_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    text, why = APART[case]
    name = own.write(tmp_path, text)
    assert network_checks.together(name, SHAPE, 3, 4) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"{tmp_path}/code/recipe.py: network: {why}")
    assert said.endswith("shadow.together: 4 has no effect, models train one by one\n")


# -- what is tried before hours are spent ------------------------------------------------------------------------------


def test_networks_that_keep_the_rules_pass(resnet: str, tmp_path: Path) -> None:
    network_checks.check(recipe(resnet), RECORDS)
    for number, text in enumerate((own.WITHOUT_DROPOUT, own.SMALL)):
        network_checks.check(recipe(own.write(tmp_path / str(number), text)), RECORDS)
    network_checks.check(RECIPE, RECORDS)
    scaled = recipe(resnet, mean=[0.4, 0.5, 0.6], deviation=[0.2, 0.2, 0.3])
    network_checks.check(scaled, RECORDS)
    (one,) = train(resnet, mean=[0.4, 0.5, 0.6], deviation=[0.2, 0.2, 0.3])
    assert one.weights != train(resnet)[0].weights


UNSEEDED = "made = Small(shape, n_classes)\n    made.first.bias.data += random.random()\n    return made"
WRONG: dict[str, tuple[str, str]] = {
    "no function": ("x = 1", r": expected a function network, got none; docs/your-own.md has its arguments"),
    "fails": (own.small(make="return Small(shape)"), r": network\(shape=\(8, 6, 3\), n_classes=3\): TypeError: .*"),
    "no module": (own.small(make="return 1"), ": network: expected a torch.nn.Module, got int; return the network"),
    "another shape": (
        own.small(make="return Small((9, 6, 3), n_classes)"),
        r": network: cannot take images of 6x8: RuntimeError: .*shapes.*",
    ),
    "the same object": (
        own.SMALL.replace("def network", "ONE = Small((8, 6, 3), 3)\n\n\ndef network").replace(
            "return Small(shape, n_classes)", "return ONE"
        ),
        ": network: expected a new network at each call, got the same object twice",
    ),
    "another generator": (
        own.small(make=UNSEEDED),
        ": network: first.bias differs between two models of one seed; draw its first values from torch's .*",
    ),
    "classes": (
        own.small(make="return Small(shape, 7)"),
        ": network: expected logits, a row a record and a column a class, 32 x 3, got float32 of 32 x 7",
    ),
    "a tuple": (
        own.small("return self.logits(self.hidden(x)), 0"),
        ": network: expected logits as one tensor, got tuple; return the logits alone",
    ),
    "softmax": (
        own.small("return self.logits(self.hidden(x)).softmax(1)"),
        ": network: expected logits, got probabilities that add up to 1; leave the softmax out",
    ),
    "frozen": (
        own.small(make="return Small(shape, n_classes).requires_grad_(False)"),
        ": network: expected parameters to train, got none with requires_grad; let it train one",
    ),
    "not finite": (
        own.small("return self.logits(self.hidden(x)) / 0"),
        ": network: expected finite logits before any training, got others; look at its first weights",
    ),
    "dropout in eval": (
        own.small("return self.logits(nn.functional.dropout(self.hidden(x), 0.5))"),
        r": network: a second query of the same records differs by [\d.]+; is dropout on in eval\(\), or are .*\?",
    ),
    "remembers a batch": (
        own.small(
            "before, self.before = getattr(self, 'before', 0), 0 if self.training else self.hidden(x).mean(0)\n"
            "        return self.logits(self.hidden(x) + before)",
        ),
        r": network: a second query of the same records differs by [\d.]+; is dropout on in eval\(\), or are .*\?",
    ),
    "mixes records": (
        own.small("y = self.hidden(x)\n        return self.logits(y + y.mean(0))"),
        r": network: a record alone is answered otherwise than among others, by [\d.]+; an answer must not depend .*",
    ),
    "draws elsewhere": (
        own.small("y = self.hidden(x)\n        return self.logits(y * random.random() if self.training else y)"),
        ": network: two trainings of one seed differ; let layers draw from torch's own generator alone",
    ),
    "keeps what is not stored": (
        own.small(
            "self.mean = x.mean(0) if self.training else self.mean\n"
            "        return self.logits(self.hidden(x - self.mean))",
            make="made = Small(shape, n_classes)\n    made.mean = 0\n    return made",
        ),
        ": network: answers otherwise once it is stored and read; make what it keeps a parameter or a buffer",
    ),
    "fails in training": (
        own.small("assert not self.training\n        return self.logits(self.hidden(x))"),
        ": network: tried on 32 records: AssertionError: ",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_network_that_breaks_a_rule_is_named(tmp_path: Path, fault: str) -> None:
    text, message = WRONG[fault]
    name = own.write(tmp_path, text)
    with pytest.raises(InputError) as raised:
        network_checks.check(recipe(name), RECORDS)
    assert re.fullmatch(re.escape(f"{tmp_path}/code/recipe.py") + message, str(raised.value))


def test_a_rate_that_is_too_high_is_said_within_seconds(resnet: str) -> None:
    with pytest.raises(InputError, match=r"target: the training loss is nan in epoch 1 of 1; lower learning_rate"):
        network_checks.check(recipe(resnet, learning_rate=1e30, batch_size=4), RECORDS)


# -- torchvision's -----------------------------------------------------------------------------------------------------


def test_a_classifier_of_torchvisions_trains_and_comes_back() -> None:
    assert network_checks.check(recipe("torchvision:mobilenet_v3_small", epochs=1), RECORDS) == 16
    (one,) = train("torchvision:mobilenet_v3_small", epochs=1)
    assert one.description.architecture == "torchvision:mobilenet_v3_small"
    assert query.logits(loaded(one), IMAGES).shape == (50, 3)


def test_a_grey_image_is_given_to_all_three_channels() -> None:
    grey = building.create("torchvision:squeezenet1_1", (32, 32, 1), 3, seed=1)
    colour = building.create("torchvision:squeezenet1_1", (32, 32, 3), 3, seed=1)
    images = RNG.integers(0, 256, (2, 32, 32, 1), dtype=np.uint8)
    assert np.array_equal(query.logits(grey, images), query.logits(colour, np.repeat(images, 3, axis=3)))


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_images_are_normalised_as_those_in_colour(channels: int) -> None:
    name, shape = "torchvision:squeezenet1_1", (32, 32, channels)
    plain = building.create(name, shape, 3, seed=1)
    scaled = building.create(name, shape, 3, seed=1, scaling=((0.25,) * channels, (0.5,) * channels))
    images = RNG.integers(0, 256, (2, *shape), dtype=np.uint8)
    inputs = building.to_input(images)
    with torch.inference_mode():
        torch.testing.assert_close(scaled.eval()(inputs), plain.eval()(inputs + 0.5))


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("resnt18", SHAPE, "torchvision has no classifier 'resnt18'; did you mean 'resnet18'?"),
        ("", SHAPE, "torchvision has no classifier ''; its documents list them"),
        (
            "alexnet",
            (32, 32, 1),
            r"torchvision:alexnet: cannot take images of 32x32 in grey \(.*; set data.size to \[64, 64\] .*",
        ),
        (
            "vit_b_16",
            (32, 48, 3),
            (
                r"torchvision:vit_b_16: cannot take images of 48x32 \(ValueError: expected images as wide as high\); "
                r"set data.size to \[48, 48\] where data.source is images, or choose another architecture"
            ),
        ),
        ("resnet18", (32, 32, 4), "torchvision:resnet18: takes grey images or images in colour, got 4 channels"),
    ],
)
def test_a_classifier_that_does_not_fit_says_what_does(name: str, shape: tuple[int, int, int], message: str) -> None:
    with pytest.raises(InputError) as raised:
        building.check(f"torchvision:{name}", shape, 3)
    assert re.fullmatch(f"target.architecture: {message}".replace("?", r"\?"), str(raised.value))


def test_a_network_that_looks_at_its_first_weights_is_measured_too() -> None:
    made = building.create("torchvision:regnet_y_400mf", SHAPE, 3, seed=0)  # which cannot be made without memory
    size = sum(value.nbytes for value in made.state_dict().values())
    assert building.size("torchvision:regnet_y_400mf", SHAPE, 3) == size


# -- given weights -----------------------------------------------------------------------------------------------------


def start(folder: Path, **changes: Tensor | None) -> str:
    """A file of weights of shokri_mlp, some of them changed or left out."""
    given = dict(building.create("shokri_mlp", SHAPE, 3, seed=99).state_dict())
    given = {**given, **{name.replace("__", "."): value for name, value in changes.items() if value is not None}}
    for name in [name for name, value in changes.items() if value is None]:
        del given[name.replace("__", ".")]
    safetensors.torch.save_file(given, folder / "start.safetensors")
    return str(folder / "start.safetensors")


def test_a_model_begins_with_the_weights_of_the_file_and_draws_the_others(tmp_path: Path) -> None:
    path = start(tmp_path, logits__weight=None, logits__bias=None)
    (one,) = train("shokri_mlp", epochs=1, learning_rate=1e-12, weight_decay=0.0, initial=path)
    given, drawn = (building.create("shokri_mlp", SHAPE, 3, seed).state_dict() for seed in (99, lesson().initial_seed))
    for name, value in loaded(one).state_dict().items():
        torch.testing.assert_close(value, (drawn if name.startswith("logits") else given)[name])
    stacked = train("shokri_mlp", lesson(1), lesson(2), epochs=1, learning_rate=1e-12, initial=path)
    for model in stacked:
        torch.testing.assert_close(loaded(model).state_dict()["dense.weight"], given["dense.weight"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"fc__weight": torch.zeros(3)},
            (
                "expected weights of the network's 4 names (dense.bias, dense.weight, logits.bias and 1 more), got "
                "fc.weight; rename them, or leave them out of the file"
            ),
        ),
        (
            {"logits__weight": torch.zeros(1000, 128)},
            (
                "logits.weight: expected float32 of 3 x 128, got float32 of 1000 x 128; leave it out of the file to "
                "let it begin at random"
            ),
        ),
        ({"logits__bias": torch.full((3,), torch.nan)}, "logits.bias: expected finite numbers; write the file anew"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, Tensor], message: str) -> None:
    path = start(tmp_path, **changes)
    with pytest.raises(InputError) as raised:
        network_checks.check(recipe("shokri_mlp", initial=path), RECORDS)
    assert str(raised.value) == f"{path}: target.initial: {message}"


def test_a_training_from_other_weights_in_a_file_of_that_name_does_not_go_on(tmp_path: Path) -> None:
    keys = set()
    for value in (1.0, 2.0):
        begun = recipe("shokri_mlp", initial=start(tmp_path, logits__bias=torch.full((3,), value)))
        keys.add(resume.key(IMAGES, LABELS, 3, begun, [lesson()]))
    assert len(keys) == 2


def test_what_is_no_file_of_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "start.safetensors"
    with pytest.raises(InputError) as raised:
        networks.declare(tmp_path / "network.json", "shokri_mlp", str(path))
    assert str(raised.value) == (
        f"{path}: target.initial: No such file or directory; put the file there, or set target.initial to null"
    )
    assert not (tmp_path / "network.json").exists()
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match=r"start.safetensors: target.initial: no file of safetensors \(.*\); write it"):
        train("shokri_mlp", initial=str(path))


# -- the declaration, and the values -----------------------------------------------------------------------------------


def test_the_declaration_holds_the_code_and_the_first_weights(resnet: str, tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    networks.declare(path, "shokri_mlp")
    assert sealed_json.unseal(path.read_text()) == {
        "architecture": "shokri_mlp",
        "sha256": networks.digest("shokri_mlp"),
    }
    written = set()
    for value in (1.0, 2.0):
        networks.declare(path, "shokri_mlp", start(tmp_path, logits__bias=torch.full((3,), value)))
        networks.declared(path, "shokri_mlp")
        networks.declared(path, "shokri_mlp", str(tmp_path / "start.safetensors"))
        written.add(path.read_text())
    start(tmp_path)
    with pytest.raises(InputError, match=r"network.json: made for another version of .*start.safetensors; `dvc repro`"):
        networks.declared(path, "shokri_mlp", str(tmp_path / "start.safetensors"))
    networks.declare(path, resnet)
    assert sealed_json.unseal(path.read_text())["architecture"] == "own"
    networks.declared(path, resnet)
    own.write(tmp_path, own.SMALL)
    with pytest.raises(InputError, match=r"network.json: made for another version of own; `dvc repro` makes it anew"):
        networks.declared(path, resnet)
    assert len(written) == 2
    networks.declare(path, "torchvision:resnet18")
    with pytest.raises(InputError, match="another version of torchvision:resnet34"):
        networks.declared(path, "torchvision:resnet34")


@pytest.mark.parametrize("name", ["/etc/start.safetensors", "../start.safetensors", "start.pt"])
def test_first_weights_lie_with_the_audits_code(name: str) -> None:
    with pytest.raises(ValueError, match=r"expected the name of a .safetensors file in the audit's folder code"):
        Recipe(**{**RECIPE.model_dump(), "initial": name})


def test_an_audits_recipe_names_its_own_places() -> None:
    digits: dict[str, Any] = {"source": "digits", "split": "half", "population_size": 4}
    audit = params_audit.Audit(
        name="mine",
        data={**digits, "generated": 1, "bandwidth": 1.0},  # type: ignore[arg-type]
        model=None,
        target={**RECIPE.model_dump(), "architecture": "own", "initial": "a/start.safetensors"},  # type: ignore[arg-type]
        shadow={"per_block": 1, "together": 1, "train_size": 1, "heldout_size": 1},  # type: ignore[arg-type]
    )
    assert audit.recipe.architecture == "own:audits/mine/code"
    assert audit.recipe.initial == "audits/mine/code/a/start.safetensors"
    assert audit.target is not None
    assert audit.target.architecture == "own"  # type: ignore[union-attr]

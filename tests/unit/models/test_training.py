"""Training and stored models: bit for bit the same again, and nothing foreign is ever loaded."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
import torchvision
from numpy.typing import NDArray
from torch import nn

from mia import params_audit
from mia.compute import devices
from mia.errors import InputError
from mia.models import building, checkpoints, learners, lessons, query, training
from mia.models.checkpoints import Description
from mia.models.learning import LEARNING
from mia.models.lessons import Lesson
from mia.models.networks import shokri_cnn, wrn28_2
from mia.models.training import Trained
from mia.params_audit import Recipe
from mia.store import sealed_json

SHAPE = (8, 8, 1)
RECIPE = Recipe(
    architecture="shokri_cnn",
    epochs=2,
    batch_size=16,
    optimizer="adam",
    learning_rate=0.01,
    schedule="constant",
    momentum=0.9,
    weight_decay=0.0,
    label_smoothing=0.0,
    augmentation=[],
    precision="float32",
)
SEQUENCE = np.arange(60)


def some_images(count: int = 60) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (count, *SHAPE), dtype=np.uint8), np.arange(count) % 3


def lesson(model_id: int = 0, members: int = 40, order_seed: int = 5) -> Lesson:
    """Models of other numbers have other members, initial weights and orders."""
    rows = np.roll(SEQUENCE, 7 * model_id)
    seed = 100 * model_id + order_seed
    return Lesson(model_id, rows[:members], rows[members:], 11 + model_id, seed, seed + 50)


def recipe(**changes: Any) -> Recipe:
    return RECIPE.model_copy(update=changes)


def train(*group: Lesson, **changes: Any) -> list[Trained]:
    return training.train(*some_images(), 3, recipe(**changes), None, group)


def trained(order_seed: int = 5, **changes: Any) -> Trained:
    (one,) = train(lesson(order_seed=order_seed), **changes)
    return one


def loaded(one: Trained) -> nn.Module:
    return checkpoints.build(checkpoints.Stored(Path("models/0.safetensors"), one.description, one.weights))


def weights(model: nn.Module) -> bytes:
    return b"".join(value.numpy().tobytes() for value in model.state_dict().values())


def test_the_same_seeds_give_the_same_weights_and_curve() -> None:
    one, other = trained(), trained()
    assert one.weights == other.weights
    pd.testing.assert_frame_equal(one.learning, other.learning, check_exact=True)


def test_another_order_gives_other_weights() -> None:
    assert trained(5).weights != trained(6).weights


@pytest.mark.parametrize("augmentation", [[], ["flip", "shift", "cutout"]])
def test_training_leaves_the_global_random_state_alone(augmentation: list[str]) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    trained(augmentation=augmentation)
    assert torch.equal(before, torch.get_rng_state())


def test_initial_weights_are_pytorchs_own_distribution() -> None:
    """Against a layer that PyTorch initialised: the same bounds, uniform, for weights and biases."""
    model = building.create("shokri_cnn", (32, 32, 3), 10, seed=1)
    assert isinstance(model, shokri_cnn.Network)
    for ours, theirs in ((model.conv2, nn.Conv2d(32, 64, 3)), (model.dense, nn.Linear(4096, 128))):
        for name in ("weight", "bias"):
            a, b = (getattr(layer, name).detach().numpy().ravel() for layer in (ours, theirs))
            bound = theirs.weight[0].numel() ** -0.5
            assert np.abs(a).max() <= bound
            assert abs(a.std() / (bound / 3**0.5) - 1) < 0.25
            assert abs(b.std() / (bound / 3**0.5) - 1) < 0.25


def test_the_network_is_the_papers_with_pooling_before_tanh() -> None:
    """Against the same layers in the published order, tanh then pooling."""
    model = building.create("shokri_cnn", (32, 32, 3), 10, seed=1)
    assert isinstance(model, shokri_cnn.Network)
    images = torch.rand(4, 3, 32, 32) * 2 - 1
    published = nn.Sequential(
        model.conv1, nn.Tanh(), nn.MaxPool2d(2), model.conv2, nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), model.dense,
        nn.Tanh(), model.logits,
    )  # fmt: skip
    torch.testing.assert_close(model(images), published(images))
    assert sum(parameter.numel() for parameter in model.parameters()) == 896 + 18496 + 4096 * 128 + 128 + 1290


def test_resnet18_is_torchvisions_in_its_form_for_small_images() -> None:
    """The same layers in the same order: torchvision's own, its stem replaced, given our weights, answers the same."""
    model = building.create("resnet18", (32, 32, 3), 10, seed=1).eval()
    theirs = torchvision.models.resnet18(num_classes=10).eval()
    theirs.conv1, theirs.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    ours = [value for name, value in model.state_dict().items()]
    names = list(theirs.state_dict())
    assert [value.shape for value in theirs.state_dict().values()] == [value.shape for value in ours]
    theirs.load_state_dict(dict(zip(names, ours, strict=True)))
    images = torch.rand(3, 3, 32, 32)
    torch.testing.assert_close(model(images), theirs(images), rtol=1e-4, atol=1e-5)


def test_wrn28_2_has_the_depth_and_size_of_its_paper() -> None:
    """28 layers count the convolutions on the longest path and the dense layer; 1.47 million weights (sec. 3)."""
    model = building.create("wrn28_2", (32, 32, 3), 10, seed=1)
    assert isinstance(model, wrn28_2.Network)
    shortcuts = sum(name.endswith("shortcut") for name, _ in model.named_modules() if isinstance(_, nn.Conv2d))
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(layers) - shortcuts == 1 + 3 * 4 * 2 + 1 == 26  # and two of the paper's count are shortcuts
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_467_610
    hidden = model.blocks(model.conv1(torch.rand(2, 3, 32, 32)))
    assert hidden.shape == (2, 128, 8, 8)


@pytest.mark.parametrize("architecture", params_audit.architectures())
def test_every_architecture_answers_trains_and_comes_back(architecture: str) -> None:
    one = trained(architecture=architecture)
    images, _ = some_images()
    answers = query.logits(loaded(one), images)
    assert answers.shape == (60, 3)
    assert np.isfinite(answers).all()
    assert one.weights != checkpoints.weights(building.create(architecture, SHAPE, 3, seed=11))
    assert weights(building.create(architecture, SHAPE, 3, seed=11)) == weights(
        building.create(architecture, SHAPE, 3, seed=11)
    )


@pytest.mark.parametrize("architecture", params_audit.architectures())
def test_a_batch_of_one_is_joined_to_the_one_before_where_images_are_compared(architecture: str) -> None:
    """Batch normalisation of a single pixel is no number: 33 members in batches of 16."""
    assert building.compares_records(building.outline(architecture, SHAPE, 3)) == (
        architecture in ("resnet18", "wrn28_2")
    )
    (one,) = train(lesson(members=33), architecture=architecture)
    assert np.isfinite(one.learning["train_loss"]).all()


def test_a_model_learns_its_members_by_heart() -> None:
    learning = trained(epochs=60).learning
    assert learning["train_accuracy"].iloc[-1] == 1
    assert learning["test_accuracy"].iloc[-1] < 0.7  # the labels are noise


def test_the_learning_curve_measures_the_nonmembers() -> None:
    one = trained()
    images, labels = some_images()
    predicted = query.logits(loaded(one), images[40:]).argmax(1)
    assert one.learning["test_accuracy"].iloc[-1] == pytest.approx((predicted == labels[40:]).mean())
    assert list(one.learning["epoch"]) == [1, 2]
    assert list(one.learning) == LEARNING.names


def test_of_many_nonmembers_the_curve_measures_some_from_all_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "MEASURED", 6)
    one = trained()
    images, labels = some_images()
    predicted = query.logits(loaded(one), images[40::4]).argmax(1)
    assert len(predicted) == 5
    assert one.learning["test_accuracy"].iloc[-1] == pytest.approx((predicted == labels[40::4]).mean())


def test_training_is_what_a_plain_loop_computes() -> None:
    """The slow twin: PyTorch's own optimiser, loader-like batches and losses, image by image."""
    images, labels = some_images()
    model = building.create("shokri_cnn", SHAPE, 3, seed=11)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    order = torch.Generator().manual_seed(5)
    for _ in range(2):
        for rows in torch.randperm(40, generator=order).split(16):  # type: ignore[no-untyped-call]
            inputs = torch.stack([torch.from_numpy(images[k]).permute(2, 0, 1) / 127.5 - 1 for k in rows.tolist()])
            loss = nn.CrossEntropyLoss()(model(inputs), torch.from_numpy(labels)[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    np.testing.assert_allclose(query.logits(loaded(trained()), images), query.logits(model, images), atol=1e-4)


def test_the_cosine_schedule_ends_at_nothing_and_starts_at_the_rate() -> None:
    """Against PyTorch's own."""
    cosine = recipe(schedule="cosine")
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=cosine.learning_rate)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    for step in range(50):
        assert learners.learning_rate(cosine, step / 50) == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    assert learners.learning_rate(RECIPE, 0.7) == RECIPE.learning_rate


def test_smoothed_labels_keep_a_model_from_being_sure() -> None:
    images, _ = some_images()
    sure, unsure = (
        torch.softmax(torch.from_numpy(query.logits(loaded(trained(epochs=60, label_smoothing=by)), images)), 1)
        for by in (0.0, 0.2)
    )
    assert sure[:40].max(1).values.mean() > 0.97
    assert unsure[:40].max(1).values.mean() == pytest.approx(0.8 + 0.2 / 3, abs=0.03)


def test_bfloat16_stays_near_float32_and_weights_stay_float32() -> None:
    half, full = trained(precision="bfloat16"), trained()
    assert half.weights != full.weights
    assert {value.dtype for value in loaded(half).state_dict().values()} == {torch.float32}
    np.testing.assert_allclose(half.learning["train_loss"], full.learning["train_loss"], atol=0.02)


# -- models together -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "sizes", "changes"),
    [
        ("shokri_cnn", (40, 40, 40, 40), {}),
        ("shokri_cnn", (40, 39, 41, 40), {"augmentation": ["flip", "shift", "cutout"]}),
        ("shokri_mlp", (40, 39, 40, 39), {"label_smoothing": 0.1, "schedule": "cosine"}),
        ("resnet18", (20, 19), {"weight_decay": 0.001, "epochs": 1}),
        ("wrn28_2", (49, 40, 34, 48), {"augmentation": ["flip", "shift", "cutout"]}),
    ],
)
def test_models_together_are_the_models_alone(
    architecture: str, sizes: tuple[int, ...], changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, running means and learning curves, whatever the sizes of their last batches.

    In double precision, where rounding cannot hide a fault: normalising 16 pixels magnifies that of float32 a
    thousandfold in two epochs.
    """
    to_input = building.to_input
    monkeypatch.setattr(building, "to_input", lambda images: to_input(images).double())
    group = [lesson(k, size) for k, size in enumerate(sizes)]
    values = {"architecture": architecture, "optimizer": "sgd", "learning_rate": 0.01, **changes}
    compares = building.compares_records(building.outline(architecture, SHAPE, 3))
    assert len(lessons.together(group, recipe(**values), 4, compares=compares)) == 1
    torch.set_default_dtype(torch.float64)
    try:
        together, alone = train(*group, **values), [train(each, **values)[0] for each in group]
        for one, other in zip(together, alone, strict=True):
            assert one.description == other.description
            pd.testing.assert_frame_equal(one.learning, other.learning, rtol=1e-9)
            ours, theirs = (loaded(of).state_dict() for of in (one, other))
            assert ours.keys() == theirs.keys()
            for name, value in ours.items():
                torch.testing.assert_close(value, theirs[name], rtol=1e-6, atol=1e-9)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_together_and_alone_agree_to_float_tolerance(optimizer: str) -> None:
    group = [lesson(k, 40 - k % 2) for k in range(4)]
    images, _ = some_images()
    for one, each in zip(train(*group, optimizer=optimizer), group, strict=True):
        alone = train(each, optimizer=optimizer)[0]
        ours, theirs = (query.logits(loaded(of), images) for of in (one, alone))
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_models_together_are_the_same_bytes_again() -> None:
    group = [lesson(k, 40 - k % 2) for k in range(3)]
    assert [each.weights for each in train(*group)] == [each.weights for each in train(*group)]


def test_groups_keep_their_order_and_have_as_many_steps() -> None:
    sizes = [40, 40, 48, 49, 48, 33, 48]  # in batches of 16: 3, 3, 3, 4, 3, 3, 3 steps
    groups = lessons.together([lesson(k, size) for k, size in enumerate(sizes)], RECIPE, 2, compares=False)
    assert [[one.model_id for one in group] for group in groups] == [[0, 1], [2], [3], [4, 5], [6]]
    assert lessons.together([], RECIPE, 2, compares=False) == []


def test_one_of_several_that_blows_up_is_named() -> None:
    with pytest.raises(
        InputError, match=r"shadow [12]: the training loss is (nan|inf) in epoch 1 of 2; lower learning"
    ):
        train(lesson(1), lesson(2), optimizer="sgd", learning_rate=1e38)


# -- where models run ------------------------------------------------------------------------------------------------


def test_logits_do_not_depend_on_how_records_are_batched(monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(trained())
    images, _ = some_images()
    whole = query.logits(model, images)
    monkeypatch.setattr(query, "BATCH", 7)
    np.testing.assert_allclose(query.logits(model, images), whole, rtol=1e-5, atol=1e-6)


def test_a_gpu_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIA_DEVICE", "cuda:7")
    with pytest.raises(InputError, match="MIA_DEVICE: cuda:7: torch sees [0-7] GPUs; set it to cpu or unset it"):
        devices.chosen()


def test_images_too_small_for_the_network_are_refused() -> None:
    with pytest.raises(InputError, match="shokri_cnn needs images of at least 4x4, got 3x8"):
        building.create("shokri_cnn", (3, 8, 1), 10, seed=0)


def test_an_unknown_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIA_DEVICE", "warp drive")
    with pytest.raises(InputError, match="MIA_DEVICE: expected a torch device such as cpu or cuda:0, got 'warp drive'"):
        devices.chosen()


# -- stored models ---------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    model = building.create("shokri_cnn", SHAPE, 3, seed=11)
    checkpoints.save(tmp_path / "target", [(Description(0, "shokri_cnn", SHAPE, 3), checkpoints.weights(model))])
    return tmp_path / "target"


def test_a_model_comes_back_as_it_was(stored: Path) -> None:
    back = checkpoints.load(stored, 0)
    assert weights(back) == weights(building.create("shokri_cnn", SHAPE, 3, seed=11))
    assert sorted(path.name for path in stored.iterdir()) == ["0.json", "0.safetensors"]


def describe(stored: Path, **changes: object) -> None:
    path = stored / "0.json"
    path.write_text(sealed_json.seal({**sealed_json.unseal(path.read_text()), **changes}))


def test_a_flipped_bit_in_the_weights_is_refused(stored: Path) -> None:
    content = bytearray((stored / "0.safetensors").read_bytes())
    content[-5] ^= 1
    (stored / "0.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"0.safetensors: expected sha256 [0-9a-f]{64}, got [0-9a-f]{64}: damaged"):
        checkpoints.load(stored, 0)


def test_a_pickle_named_as_a_model_is_refused_and_never_run(stored: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "run",)

    content = pickle.dumps(Trap())
    (stored / "0.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        checkpoints.load(stored, 0)
    import hashlib

    describe(stored, sha256=hashlib.sha256(content).hexdigest())  # even where the digest was forged
    with pytest.raises(InputError, match="weights do not fit"):
        checkpoints.load(stored, 0)
    assert not (tmp_path / "run").exists()


def test_a_model_of_another_format_is_refused(stored: Path) -> None:
    describe(stored, format=9)
    with pytest.raises(InputError, match="0.json: expected model format 2, got 9"):
        checkpoints.load(stored, 0)


def test_weights_of_other_shapes_are_refused_with_both(stored: Path) -> None:
    describe(stored, n_classes=7)
    with pytest.raises(InputError, match=r"weights do not fit .*n_classes=7.*torch.Size\(\[3, 128\]\)"):
        checkpoints.load(stored, 0)


def test_an_unknown_architecture_is_refused(stored: Path) -> None:
    describe(stored, architecture="resnet9000")
    with pytest.raises(InputError, match="expected an architecture of resnet18, .*wrn28_2, got 'resnet9000'"):
        checkpoints.load(stored, 0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"format": 2}',
        '{"format": 2, "shape": 3}',
        '{"format": 2, "shape": [8, 8], "model_id": 0, "architecture": "shokri_cnn", "n_classes": 3}',
        '{"format": 2, "shape": [8, 8, 1], "model_id": 0, "architecture": "shokri_cnn", "n_classes": "three"}',
        '{"format": 2, "shape": [8, 8, 1], "model_id": 0, "architecture": "shokri_cnn", "n_classes": 0}',
    ],
)
def test_a_description_that_is_none_is_refused(stored: Path, text: str) -> None:
    (stored / "0.json").write_text(text)
    with pytest.raises(InputError, match="0.json: (not the description of a model|expected model format)"):
        checkpoints.load(stored, 0)


def test_a_missing_model_says_how_to_get_it(stored: Path) -> None:
    with pytest.raises(
        InputError, match="8.safetensors: no such file; `dvc pull .*` fetches it, `dvc repro` trains it"
    ):
        checkpoints.load(stored, 8)


def test_weights_are_plain_safetensors(stored: Path) -> None:
    assert set(safetensors.torch.load_file(stored / "0.safetensors")) == {
        f"{layer}.{part}" for layer in ("conv1", "conv2", "dense", "logits") for part in ("weight", "bias")
    }


STANDARD: dict[str, Any] = {"mean": [0.2], "deviation": [0.3]}


def test_a_model_normalises_its_input_by_its_recipe() -> None:
    images = some_images()[0]
    network = building.create("shokri_cnn", SHAPE, 3, 11, ((0.2,), (0.3,))).eval()
    plain = building.create("shokri_cnn", SHAPE, 3, 11).eval()
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).double() / 255
    with torch.inference_mode():
        expected = plain(((pixels - 0.2) / 0.3).float())
        torch.testing.assert_close(network(building.to_input(images)), expected, rtol=1e-4, atol=1e-5)


def test_a_stored_model_normalises_as_it_was_trained() -> None:
    (model,) = train(lesson(), **STANDARD)
    assert model.description.scaling == ((0.2,), (0.3,))
    logits = query.logits(loaded(model), some_images()[0])
    without = loaded(replace(model, description=replace(model.description, scaling=None)))
    assert not np.allclose(logits, query.logits(without, some_images()[0]), atol=1e-3)
    assert weights(loaded(trained())) != weights(loaded(model))


def test_the_description_on_disk_keeps_the_normalisation(tmp_path: Path) -> None:
    (model,) = train(lesson(), **STANDARD)
    checkpoints.save(tmp_path / "models", [(model.description, model.weights)])
    assert checkpoints.read(tmp_path / "models", 0).description.scaling == ((0.2,), (0.3,))


def test_models_trained_together_normalise_as_alone() -> None:
    group = [lesson(1), lesson(2)]
    together = train(*group, **STANDARD)
    for alone, model in zip([train(one, **STANDARD)[0] for one in group], together, strict=True):
        images = some_images()[0]
        np.testing.assert_allclose(query.logits(loaded(alone), images), query.logits(loaded(model), images), atol=1e-3)


def test_a_normalisation_of_other_channels_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"params\.yaml: mean: expected one number, or one for each of 1 channels, got 3"
    ):
        train(lesson(), mean=[0.1, 0.2, 0.3], deviation=[1.0, 1.0, 1.0])


def test_a_mean_alone_keeps_a_deviation_of_one_half() -> None:
    assert recipe(mean=[0.2]).scaling == ((0.2,), (0.5,))
    assert recipe(deviation=[0.2]).scaling == ((0.5,), (0.2,))


@pytest.mark.parametrize("scaling", [[[0.2]], [[0.2], [0.3], [0.4]], 7, [["a"], [0.3]]])
def test_a_description_with_another_normalisation_is_refused_in_a_line(tmp_path: Path, scaling: Any) -> None:
    (model,) = train(lesson(), **STANDARD)
    folder = tmp_path / "models"
    checkpoints.save(folder, [(model.description, model.weights)])
    described = sealed_json.unseal((folder / "0.json").read_text())
    (folder / "0.json").write_text(sealed_json.seal({**described, "scaling": scaling}))
    with pytest.raises(InputError, match="not the description of a model"):
        checkpoints.load(folder, 0)

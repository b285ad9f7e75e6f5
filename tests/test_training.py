"""Training and stored models: bit for bit the same again, and nothing foreign is ever loaded."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from mia import checkpoints, models, training
from mia.checkpoints import Description
from mia.errors import InputError

SHAPE = (8, 8, 1)
RECIPE = {
    "epochs": 2,
    "batch_size": 16,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 0.0,
}


def some_images(
    count: int = 60,
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.uint8]], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (count, *SHAPE), dtype=np.uint8), np.arange(count) % 3


def trained(order_seed: int = 5, **changes: object) -> tuple[nn.Module, list[training.Epoch]]:
    images, labels = some_images()
    model = models.create("shokri_cnn", SHAPE, 3, seed=11)
    recipe = {**RECIPE, **changes}
    history = training.train(
        model,
        images[:40],
        labels[:40],
        images[40:],
        labels[40:],
        order_seed=order_seed,
        name="test",
        **recipe,  # type: ignore[arg-type]
    )
    return model, history


def weights(model: nn.Module) -> bytes:
    return b"".join(value.numpy().tobytes() for value in model.state_dict().values())


def test_the_same_seeds_give_the_same_weights_and_curve() -> None:
    (one, first), (other, second) = trained(), trained()
    assert weights(one) == weights(other)
    assert first == second


def test_another_order_gives_other_weights() -> None:
    assert weights(trained(5)[0]) != weights(trained(6)[0])


def test_training_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    trained()
    assert torch.equal(before, torch.get_rng_state())


def test_initial_weights_are_pytorchs_own_distribution() -> None:
    """Against a layer that PyTorch initialised: the same bounds, uniform, for weights and biases."""
    model = models.create("shokri_cnn", (32, 32, 3), 10, seed=1)
    assert isinstance(model, models.ShokriCNN)
    for ours, theirs in ((model.conv2, nn.Conv2d(32, 64, 3)), (model.dense, nn.Linear(4096, 128))):
        for name in ("weight", "bias"):
            a, b = (getattr(layer, name).detach().numpy().ravel() for layer in (ours, theirs))
            bound = theirs.weight[0].numel() ** -0.5
            assert np.abs(a).max() <= bound
            assert abs(a.std() / (bound / 3**0.5) - 1) < 0.25
            assert abs(b.std() / (bound / 3**0.5) - 1) < 0.25


def test_the_network_is_the_papers_with_pooling_before_tanh() -> None:
    """Against the same layers in the published order, tanh then pooling."""
    model = models.create("shokri_cnn", (32, 32, 3), 10, seed=1)
    assert isinstance(model, models.ShokriCNN)
    images = torch.rand(4, 3, 32, 32) * 2 - 1
    published = nn.Sequential(
        model.conv1, nn.Tanh(), nn.MaxPool2d(2), model.conv2, nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), model.dense,
        nn.Tanh(), model.logits,
    )  # fmt: skip
    torch.testing.assert_close(model(images), published(images))
    assert sum(parameter.numel() for parameter in model.parameters()) == 896 + 18496 + 4096 * 128 + 128 + 1290


def test_a_model_learns_its_members_by_heart() -> None:
    _, history = trained(epochs=60)
    assert history[-1].train_accuracy == 1
    assert history[-1].test_accuracy < 0.7  # the labels are noise


def test_the_learning_curve_measures_the_nonmembers() -> None:
    model, history = trained()
    images, labels = some_images()
    predicted = models.logits(model, images[40:]).argmax(1)
    assert history[-1].test_accuracy == pytest.approx((predicted == labels[40:]).mean())


def test_logits_do_not_depend_on_how_records_are_batched(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = trained()
    images, _ = some_images()
    whole = models.logits(model, images)
    monkeypatch.setattr(models, "BATCH", 7)
    np.testing.assert_allclose(models.logits(model, images), whole, rtol=1e-5, atol=1e-6)


def test_a_gpu_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIA_DEVICE", "cuda:7")
    with pytest.raises(InputError, match="MIA_DEVICE: cuda:7: torch sees [0-7] GPUs; set it to cpu or unset it"):
        models.device()


def test_images_too_small_for_the_network_are_refused() -> None:
    with pytest.raises(InputError, match="shokri_cnn needs images of at least 4x4, got 3x8"):
        models.create("shokri_cnn", (3, 8, 1), 10, seed=0)


def test_an_unknown_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIA_DEVICE", "warp drive")
    with pytest.raises(InputError, match="MIA_DEVICE: expected a torch device such as cpu or cuda:0, got 'warp drive'"):
        models.device()


# -- stored models ---------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    model = models.create("shokri_cnn", SHAPE, 3, seed=11)
    checkpoints.save(tmp_path / "target", [(Description(0, "shokri_cnn", SHAPE, 3), model)])
    return tmp_path / "target"


def test_a_model_comes_back_as_it_was(stored: Path) -> None:
    back = checkpoints.load(stored, 0)
    assert weights(back) == weights(models.create("shokri_cnn", SHAPE, 3, seed=11))
    assert sorted(path.name for path in stored.iterdir()) == ["0.json", "0.safetensors"]


def describe(stored: Path, **changes: object) -> None:
    path = stored / "0.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


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
    with pytest.raises(InputError, match="0.json: expected model format 1, got 9"):
        checkpoints.load(stored, 0)


def test_weights_of_other_shapes_are_refused_with_both(stored: Path) -> None:
    describe(stored, n_classes=7)
    with pytest.raises(InputError, match=r"weights do not fit .*n_classes=7.*torch.Size\(\[3, 128\]\)"):
        checkpoints.load(stored, 0)


def test_an_unknown_architecture_is_refused(stored: Path) -> None:
    describe(stored, architecture="resnet9000")
    with pytest.raises(InputError, match="expected an architecture of shokri_cnn, shokri_mlp, got 'resnet9000'"):
        checkpoints.load(stored, 0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"format": 1}',
        '{"format": 1, "shape": 3}',
        '{"format": 1, "shape": [8, 8], "model_id": 0, "architecture": "shokri_cnn", "n_classes": 3}',
        '{"format": 1, "shape": [8, 8, 1], "model_id": 0, "architecture": "shokri_cnn", "n_classes": "three"}',
        '{"format": 1, "shape": [8, 8, 1], "model_id": 0, "architecture": "shokri_cnn", "n_classes": 0}',
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

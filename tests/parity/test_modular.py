"""Cross-encoders in modules score here as in sentence-transformers, which saved them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crossrank import CrossEncoder
from crossrank.errors import ModelFileError, UnsupportedModelError

torch = pytest.importorskip("torch", reason="modular models are computed by torch")
reference = pytest.importorskip("sentence_transformers", reason="it is the reference")

from safetensors.torch import load_file, save_file  # noqa: E402
from sentence_transformers.base.modules import Dense, Normalize, Transformer  # noqa: E402
from sentence_transformers.sentence_transformer.modules import (  # noqa: E402
    Dropout,
    LayerNorm,
    Pooling,
)
from tests.parity.tiny_models import PAIRS, make_classifier, make_modular  # noqa: E402

Once = Callable[[str, Callable[[Path], Path]], Path]
WIDTH = 32


def compare(folder: Path) -> None:
    """Compare logits to 1e-4, and see that they vary enough for that to mean something."""
    identity = torch.nn.Identity()
    theirs = reference.CrossEncoder(str(folder), device="cpu")
    expected = theirs.predict(PAIRS, activation_fn=identity, show_progress_bar=False)
    ours = CrossEncoder(folder, backend="torch", device="cpu")
    np.testing.assert_allclose(ours.predict(PAIRS, activation_fn="identity"), expected, atol=1e-4)
    assert expected.std(axis=0).min() >= 1
    alone = [ours.predict(pair, activation_fn="identity") for pair in PAIRS]
    np.testing.assert_allclose(alone, expected, atol=1e-4)


def save(folder: Path, modules: list[torch.nn.Module], dense: Dense) -> Path:
    """Save modules as a cross-encoder whose logits, made by ``dense``, have a deviation of 2."""
    encoder = reference.CrossEncoder(modules=modules, device="cpu")
    logits = encoder.predict(PAIRS, activation_fn=torch.nn.Identity(), show_progress_bar=False)
    with torch.no_grad():
        factor = 2 / float(logits.std(axis=0).min())
        dense.linear.weight.mul_(factor)
        dense.linear.bias.mul_(factor)
    encoder.save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_ettin_layout(once: Once, pooling: str) -> None:
    compare(once(f"modular-{pooling}", lambda folder: make_modular(folder, pooling=pooling)))


@pytest.mark.parametrize("pooling", ["max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"])
def test_other_poolings(once: Once, pooling: str) -> None:
    compare(once(f"modular-{pooling}", lambda folder: make_modular(folder, pooling=pooling)))


def test_several_labels(once: Once) -> None:
    compare(once("modular-3", lambda folder: make_modular(folder, labels=3)))


def test_every_other_module(once: Once, tmp_path: Path) -> None:
    """Joined poolings, residual layers, named tensors, dropout, normalisation, token types."""
    backbone = once("bert", lambda folder: make_classifier(folder, "bert"))
    last = Dense(
        WIDTH,
        1,
        activation_function=torch.nn.Identity(),
        module_input_name="narrow",
        module_output_name="scores",
        use_residual=True,
    )
    modules = [
        Transformer(str(backbone)),
        Pooling(WIDTH, pooling_mode=("cls", "mean")),
        Dense(2 * WIDTH, 2 * WIDTH, use_residual=True),
        Dropout(0.5),
        LayerNorm(2 * WIDTH),
        Normalize(),
        Dense(2 * WIDTH, WIDTH, use_residual=True, module_output_name="narrow"),
        last,
    ]
    torch.nn.init.zeros_(last.residual.weight)
    compare(save(tmp_path / "model", modules, last))


def test_classifier_in_one_module(once: Once, tmp_path: Path) -> None:
    backbone = once("bert", lambda folder: make_classifier(folder, "bert"))
    reference.CrossEncoder(str(backbone), device="cpu").save_pretrained(str(tmp_path / "model"))
    compare(tmp_path / "model")


@pytest.mark.parametrize("saved_length", [None, 48])
def test_saved_again_it_keeps_length_and_prompts(
    once: Once, tmp_path: Path, saved_length: int | None
) -> None:
    folder = shutil.copytree(once("modular-cls", make_modular), tmp_path / "model")
    if saved_length is not None:  # where older versions keep it
        settings = json.loads((folder / "sentence_bert_config.json").read_text())
        settings["max_seq_length"] = saved_length
        (folder / "sentence_bert_config.json").write_text(json.dumps(settings))
    prompts = {"museum": "museums of: "}
    model = CrossEncoder(folder, prompts=prompts, default_prompt_name="museum", backend="torch")
    model.max_length = 20
    model.activation_fn = "identity"
    model.save_pretrained(tmp_path / "saved")
    expected = model.predict(PAIRS)
    ours = CrossEncoder(tmp_path / "saved", backend="torch")
    theirs = reference.CrossEncoder(str(tmp_path / "saved"), device="cpu")
    for again in (ours, theirs):
        assert (again.max_seq_length, again.prompts) == (20, prompts)
        np.testing.assert_allclose(again.predict(PAIRS), expected, atol=1e-4)
    assert np.abs(expected - model.predict(PAIRS, prompt="")).max() > 0.01


def test_names_of_older_versions(once: Once, tmp_path: Path) -> None:
    """Version 5 named modules and pooling modes otherwise."""
    folder = make_modular(tmp_path / "model")
    modules = json.loads((folder / "modules.json").read_text())
    for module in modules:
        module["type"] = "sentence_transformers.models." + module["type"].rpartition(".")[2]
    (folder / "modules.json").write_text(json.dumps(modules))
    old = {"word_embedding_dimension": WIDTH, "pooling_mode_cls_token": True}
    (folder / modules[1]["path"] / "config.json").write_text(json.dumps(old))
    current = once("modular-cls", make_modular)
    scores = [CrossEncoder(path, backend="torch").predict(PAIRS) for path in (folder, current)]
    np.testing.assert_array_equal(*scores)


def test_refuses_functions_that_are_no_activations(tmp_path: Path) -> None:
    folder = make_modular(tmp_path / "model")
    file = folder / "2_Dense" / "config.json"
    file.write_text(file.read_text().replace("torch.nn.modules.activation.GELU", "os.system"))
    with pytest.raises(UnsupportedModelError, match=r"'os.system'.*torch.nn only"):
        CrossEncoder(folder, backend="torch")


def test_refuses_weights_that_do_not_fit(tmp_path: Path) -> None:
    folder = make_modular(tmp_path / "model")
    file = folder / "2_Dense" / "model.safetensors"
    weights = load_file(file)
    save_file({"linear.weight": weights["linear.weight"][:8].clone()}, file)
    with pytest.raises(ModelFileError, match="do not fit"):
        CrossEncoder(folder, backend="torch")


def test_refuses_pickled_heads(tmp_path: Path) -> None:
    folder = make_modular(tmp_path / "model")
    file = folder / "2_Dense" / "model.safetensors"
    file.rename(file.with_name("pytorch_model.bin"))
    with pytest.raises(ModelFileError, match="never pickles"):
        CrossEncoder(folder, backend="torch")


def test_refuses_modules_outside_of_the_folder(tmp_path: Path) -> None:
    folder = make_modular(tmp_path / "model")
    file = folder / "modules.json"
    modules = json.loads(file.read_text())
    modules[2]["path"] = "../elsewhere"
    file.write_text(json.dumps(modules))
    with pytest.raises(ModelFileError, match="outside"):
        CrossEncoder(folder, backend="torch")

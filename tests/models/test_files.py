"""Which weight files there are, and which one is loaded."""

from collections.abc import Iterator

import pytest

from crossrank.errors import InputError, ModelFileError
from crossrank.models import files
from crossrank.models.files import choose, companions, weight_files

OPTIMUM = [
    "model.safetensors",
    "onnx/model.onnx",
    "onnx/model_O1.onnx",
    "onnx/model_O2.onnx",
    "onnx/model_O3.onnx",
    "onnx/model_O4.onnx",
    "onnx/model_qint8_arm64.onnx",
    "onnx/model_qint8_avx512.onnx",
    "onnx/model_qint8_avx512_vnni.onnx",
    "onnx/model_quint8_avx2.onnx",
    "openvino/openvino_model.bin",
    "openvino/openvino_model.xml",
    "openvino/openvino_model_qint8_quantized.bin",
    "openvino/openvino_model_qint8_quantized.xml",
    "pytorch_model.bin",
]
"""What sentence-transformers' own cross-encoders have on the hub."""

TRANSFORMERS_JS = [
    "onnx/model_bnb4.onnx",
    "onnx/model_fp16.onnx",
    "onnx/model_int8.onnx",
    "onnx/model_q4.onnx",
    "onnx/model_q4f16.onnx",
    "onnx/model_quantized.onnx",
    "onnx/model_uint8.onnx",
]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("onnx/model.onnx", ("onnx", "fp32", None)),
        ("model.onnx", ("onnx", "fp32", None)),
        ("onnx/model_O3.onnx", ("onnx", "fp32", None)),
        ("onnx/model_O4.onnx", ("onnx", "fp16", "gpu")),
        ("onnx/model_fp16.onnx", ("onnx", "fp16", None)),
        ("onnx/model_bf16.onnx", ("onnx", "bf16", None)),
        ("onnx/model_int8.onnx", ("onnx", "int8", None)),
        ("onnx/model_quantized.onnx", ("onnx", "int8", None)),
        ("onnx/model_uint8.onnx", ("onnx", "int8", None)),
        ("onnx/model_quint8_avx2.onnx", ("onnx", "int8", "avx2")),
        ("onnx/model_qint8_avx512.onnx", ("onnx", "int8", "avx512")),
        ("onnx/model_qint8_avx512_vnni.onnx", ("onnx", "int8", "avx512_vnni")),
        ("onnx/model_qint8_arm64.onnx", ("onnx", "int8", "arm64")),
        ("onnx/model_q4.onnx", ("onnx", "int4", None)),
        ("onnx/model_int4.onnx", ("onnx", "int4", None)),
        ("onnx/model_bnb4.onnx", ("onnx", "int4", None)),
        ("onnx/model_q4f16.onnx", ("onnx", "int4", None)),
        ("openvino/openvino_model.xml", ("openvino", "fp32", None)),
        ("openvino/openvino_model_qint8_quantized.xml", ("openvino", "int8", None)),
        ("model.safetensors", ("safetensors", "fp32", None)),
        ("model.safetensors.index.json", ("safetensors", "fp32", None)),
    ],
)
def test_reads_what_a_name_says(name: str, expected: tuple[str, str, str | None]) -> None:
    (file,) = weight_files([name])
    assert (file.format, file.precision, file.tuned_for) == expected


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "onnx/decoder_model.onnx", "1_Dense/model.safetensors", "a.xml"]
)
def test_other_files_are_no_weights_of_the_whole_model(name: str) -> None:
    assert weight_files([name]) == []


def test_what_belongs_to_a_file() -> None:
    names = ["onnx/model.onnx", "onnx/model.onnx_data", "onnx/model_fp16.onnx_data"]
    assert companions("onnx/model.onnx", names) == ["onnx/model.onnx_data"]
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert companions("model.safetensors.index.json", [*shards, "model.safetensors"]) == shards


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Lets a test say which processor this is."""
    files._machine.cache_clear()
    yield monkeypatch
    files._machine.cache_clear()


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", {"avx2", "avx512f", "avx512_vnni"}, "onnx/model_qint8_avx512_vnni.onnx"),
        ("x86_64", {"avx2", "avx512f"}, "onnx/model_qint8_avx512.onnx"),
        ("x86_64", {"avx2"}, "onnx/model_quint8_avx2.onnx"),
        ("aarch64", set(), "onnx/model_qint8_arm64.onnx"),
        ("arm64", set(), "onnx/model_qint8_arm64.onnx"),
    ],
)
def test_int8_suits_the_processor(
    processor: pytest.MonkeyPatch, machine: str, flags: set[str], expected: str
) -> None:
    processor.setattr(files.platform, "machine", lambda: machine)
    processor.setattr(files, "processor_flags", lambda: frozenset(flags))
    assert choose(OPTIMUM, "onnx", "int8").file.name == expected


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        ("openvino", "openvino/openvino_model.xml"),
        ("onnx", "onnx/model.onnx"),
        ("torch", "model.safetensors"),
    ],
)
def test_by_default_the_exact_model(backend: str, expected: str) -> None:
    choice = choose(OPTIMUM, backend)
    assert (choice.file.name, choice.precision) == (expected, "fp32")
    assert choice.reason == f"{expected}: fp32, the exact model"


def test_without_fp32_what_loses_least() -> None:
    choice = choose(TRANSFORMERS_JS, "onnx")
    assert (choice.file.name, choice.precision) == ("onnx/model_fp16.onnx", "fp16")
    assert "no fp32 file" in choice.reason
    int8 = [name for name in TRANSFORMERS_JS if "fp16" not in name]
    assert choose(int8, "onnx").file.name == "onnx/model_int8.onnx"
    assert choose(["onnx/model_O4.onnx", "onnx/model_int8.onnx"], "onnx").precision == "fp16"


def test_safetensors_only_where_they_can_be_used() -> None:
    both = ["model.safetensors", "onnx/model_int8.onnx"]
    assert choose(both, "openvino").file.name == "model.safetensors"
    assert choose(both, "openvino", can_convert=False).file.name == "onnx/model_int8.onnx"
    only = choose(["model.safetensors"], "onnx", can_convert=False)
    assert only.file.name == "model.safetensors"


def test_openvino_and_torch_compute_in_half_precision_from_fp32() -> None:
    choice = choose(["onnx/model.onnx"], "openvino", "bf16")
    assert (choice.file.name, choice.file.precision, choice.precision) == (
        "onnx/model.onnx",
        "fp32",
        "bf16",
    )
    assert choose(["model.safetensors"], "torch", "fp16").precision == "fp16"


def test_a_precision_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"int4.*fp32 \(onnx/model.onnx\).*crossrank export"):
        choose(["onnx/model.onnx"], "onnx", "int4")
    with pytest.raises(InputError, match="bf16"):
        choose(["onnx/model.onnx"], "onnx", "bf16")


@pytest.mark.parametrize("file_name", ["onnx/model_O2.onnx", "model_O2.onnx"])
def test_a_named_file(file_name: str) -> None:
    choice = choose(OPTIMUM, "onnx", file_name=file_name)
    assert choice.file.name == "onnx/model_O2.onnx"


@pytest.mark.parametrize("file_name", ["model_O9.onnx", "../model.onnx", "/etc/passwd"])
def test_a_named_file_that_is_not_there(file_name: str) -> None:
    with pytest.raises(InputError, match=r"onnx/model_O2\.onnx"):
        choose(OPTIMUM, "onnx", file_name=file_name)


def test_a_named_file_of_the_wrong_kind() -> None:
    with pytest.raises(InputError, match="must be a file of onnx"):
        choose(OPTIMUM, "onnx", file_name="pytorch_model.bin")


def test_a_named_file_has_the_precision_it_has() -> None:
    names = ["onnx/model.onnx", "onnx/model_int8.onnx"]
    with pytest.raises(InputError, match="is a file in int8: leave precision='fp32' out"):
        choose(names, "onnx", "fp32", file_name="model_int8.onnx")
    with pytest.raises(InputError, match="is a file in fp32: leave precision='int8' out"):
        choose(names, "onnx", "int8", file_name="model.onnx")
    assert choose(names, "onnx", "int8", file_name="model_int8.onnx").precision == "int8"
    assert choose(names, "openvino", "bf16", file_name="model.onnx").precision == "bf16"


def test_pickles_are_refused() -> None:
    with pytest.raises(ModelFileError, match=r"pytorch_model\.bin.*pickles.*save_pretrained"):
        choose(["pytorch_model.bin", "config.json"], "torch")


def test_no_weights_at_all() -> None:
    with pytest.raises(ModelFileError, match=r"model\.safetensors, onnx/model\.onnx"):
        choose(["config.json"], "openvino")
    with pytest.raises(ModelFileError, match="Choose another backend"):
        choose(["onnx/model.onnx"], "torch")

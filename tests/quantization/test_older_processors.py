"""int8 on a processor without VNNI: the engine is told to hide what this one has."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from crossrank.demo import load
from crossrank.models.files import processor_flags

stats = pytest.importorskip("scipy.stats", reason="it computes Kendall's tau")

SCORE = """
import json, sys
import openvino
from crossrank import CrossEncoder
from crossrank.models import locate

pairs = [tuple(pair) for pair in json.load(sys.stdin)]
logits = CrossEncoder(activation_fn="identity").predict(pairs)
file = locate(None) / "onnx/model_int8.onnx"
plain = {"INFERENCE_PRECISION_HINT": "f32"}
compiled = openvino.Core().compile_model(str(file), "CPU", plain)
kinds = {str(op.get_rt_info()["primitiveType"].astype(str))
         for op in compiled.get_runtime_model().get_ops() if "primitiveType" in op.get_rt_info()}
print(json.dumps([logits.tolist(), sorted(kinds)]))
"""


def score(pairs: list[tuple[str, str]], cache: Path, **hidden: str) -> tuple[list[float], list]:
    environment = {**os.environ, "CROSSRANK_CACHE": str(cache), **hidden}
    done = subprocess.run(
        [sys.executable, "-c", SCORE],
        input=json.dumps(pairs),
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    logits, kinds = json.loads(done.stdout)
    return logits, kinds


@pytest.mark.skipif(
    not {"avx512_vnni", "avx_vnni"} & processor_flags(), reason="this processor has no VNNI to hide"
)
def test_rankings_agree_without_vnni(tmp_path: Path) -> None:
    documents, queries, _ = load()
    texts = list(documents.values())
    pairs = [
        (query, text)
        for place, query in enumerate(list(queries.values())[:10])
        for text in texts[place * 12 : place * 12 + 12]
    ]
    here, kinds = score(pairs, tmp_path / "here")
    older, older_kinds = score(
        pairs, tmp_path / "older", ONEDNN_MAX_CPU_ISA="AVX2", OV_CPU_MAX_ISA="AVX2"
    )
    assert not any("avx2" in kind for kind in kinds)
    assert any("avx2" in kind for kind in older_kinds)
    assert stats.kendalltau(here, older).statistic > 0.9
    # Single logits may move: without VNNI, sums of products saturate at 16 bits.
    assert np.median(np.abs(np.subtract(here, older))) < 0.2

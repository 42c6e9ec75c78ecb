"""Makes the files that sentence-transformers' OpenVINO backend loads, by its own functions.

.venv-peers/bin/python benchmarks/peer_models.py
"""

import json

from data import first_stage_pairs
from sentence_transformers import CrossEncoder, export_static_quantized_openvino_model
from settings import BUILD, MODEL, OPENVINO


def main() -> None:
    # Its quantiser reads a data set of single texts: a query and a document make one here.
    calibration = BUILD / "calibration"
    calibration.mkdir(parents=True, exist_ok=True)
    with (calibration / "train.jsonl").open("w", encoding="utf-8") as file:
        for pair in first_stage_pairs("dl21", 300, depth=6):
            file.write(json.dumps({"text": " ".join(pair)}) + "\n")
    model = CrossEncoder(str(MODEL), backend="openvino", model_kwargs={"export": True})
    model.save_pretrained(str(OPENVINO))
    export_static_quantized_openvino_model(
        model,
        quantization_config=None,
        model_name_or_path=str(OPENVINO),
        dataset_name=str(calibration),
        dataset_config_name="default",
        dataset_split="train",
        column_name="text",
    )


if __name__ == "__main__":
    main()

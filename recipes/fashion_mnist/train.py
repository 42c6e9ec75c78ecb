"""Text to image: train a fusion cross-encoder on Fashion-MNIST and rank test images with it.

    CROSSRANK_DATA=... python -m recipes.fashion_mnist.train build/fashion-mnist

It proves that the machinery learns from images. Queries are descriptions of ten kinds of clothes,
so the model knows ten things; it is of no other use.
"""

import argparse
import gzip
import os
import time
from io import BytesIO
from pathlib import Path

import numpy as np
from datasets import Image
from numpy.typing import NDArray
from PIL import Image as Pillow
from recipes.small_fusion import TOKENIZER, average_precision, lists, text_encoder, train
from transformers import ViTConfig

from crossrank import CrossEncoder
from crossrank.multimodal.create import create_fusion

QUERIES = {
    0: ["a t-shirt", "a top with short sleeves", "a plain tee"],
    1: ["a pair of trousers", "long trousers", "pants"],
    2: ["a pullover", "a warm sweater", "a jumper"],
    3: ["a dress", "a long dress", "a summer dress"],
    4: ["a coat", "a warm coat", "an overcoat"],
    5: ["a sandal", "an open sandal", "a summer shoe"],
    6: ["a shirt", "a shirt with buttons", "a blouse"],
    7: ["a sneaker", "a running shoe", "a sports shoe"],
    8: ["a bag", "a handbag", "a bag with a handle"],
    9: ["an ankle boot", "a boot", "a leather boot"],
}
"""What images of a class are asked for with; the first is used to measure."""


def read(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images ``[images, 28, 28]`` and classes ``[images]`` of ``"train"`` or ``"t10k"``."""
    with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
        return images, np.frombuffer(file.read(), np.uint8, offset=8)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """The bytes of a file."""
    file = BytesIO()
    Pillow.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def new_model(folder: Path) -> Path:
    """A small ViT beside a small BERT, joined by cross-attention, all at random."""
    image = ViTConfig(
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=128,
        image_size=28,
        patch_size=7,
        num_channels=1,
        initializer_range=0.1,
    )
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": 28, "width": 28},
        "image_mean": [0.286],
        "image_std": [0.353],
    }
    return create_fusion(
        folder,
        text=text_encoder(),
        document=image,
        modality="image",
        tokenizer=TOKENIZER,
        processor=processor,
        join_size=64,
        join_layers=1,
        join_dropout=0.0,
    )


def main() -> None:
    """Train, measure, and print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="what is made, and the model in it")
    parser.add_argument("--lists", type=int, default=25_000, help="training lists of 8 images")
    parser.add_argument("--draws", type=int, default=10, help="how often 100 images are drawn")
    options = parser.parse_args()
    data = Path(os.environ["CROSSRANK_DATA"]) / "fashion-mnist"
    started = time.perf_counter()
    images, classes = read(data, "train")
    rows = lists(QUERIES, [png(image) for image in images], classes, Image(), options.lists)
    start = new_model(options.folder / "start")
    trained = train(start, rows, options.folder, rate=1e-3, epochs=1)
    print(f"trained in {time.perf_counter() - started:.0f} s")
    model = CrossEncoder(trained, activation_fn="identity")
    images, classes = read(data, "t10k")
    found = average_precision(model, QUERIES, list(images), classes, options.draws)
    for query, value in found.items():
        print(f"{query:24} AP {value:.3f}")
    print(f"{'mean of ten descriptions':24} MAP {np.mean(list(found.values())):.3f}")
    print(f"in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()

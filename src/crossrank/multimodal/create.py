"""Making a fusion cross-encoder of a text encoder and an image or audio encoder."""

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossrank.errors import InputError, UnsupportedModelError
from crossrank.models.json_files import read_json, read_optional
from crossrank.models.tokenizer_files import tokenizer_file
from crossrank.multimodal.media import Modality
from crossrank.multimodal.tokenizer import PROCESSOR, load_processor
from crossrank.optional import require

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    Encoder = str | Path | PretrainedConfig

_WHISPER = "whisper"
_FRAMES = 2
"""Of a spectrogram, in one position of Whisper's encoder."""
_POSITIONS = "embed_positions.weight"


def create_fusion(
    folder: str | Path,
    *,
    text: "Encoder",
    document: "Encoder",
    modality: Modality,
    tokenizer: str | Path | None = None,
    processor: dict[str, Any] | None = None,
    seed: int = 42,
    **join: Any,
) -> Path:
    """Write the folder of a new fusion cross-encoder, which training can start from.

    Args:
        folder: Where to; made when it does not exist.
        text: The text encoder: a folder of transformers with weights, or a config for random ones.
        document: The image or audio encoder, likewise: ViT, CLIP's and SigLIP's vision towers, the
            Audio Spectrogram Transformer, Wav2Vec2, Whisper (its encoder alone is taken) ...
        modality: What documents are: ``"image"`` or ``"audio"``.
        tokenizer: A folder or ``tokenizer.json``; by default that of ``text``.
        processor: The values of a ``preprocessor_config.json``; by default those of ``document``.
            How much of a recording is read: ``max_length`` samples of a waveform, and with Whisper
            ``chunk_length`` seconds, by default as many as its encoder has positions for.
        seed: Decides the start of new weights.
        join: Settings of ``FusionConfig``: ``join="pooled"`` or ``"cross_attention"``,
            ``join_size``, ``join_layers``, ``join_heads``, ``num_labels``.

    Returns:
        The folder.

    Raises:
        InputError: A tokenizer or a processor is needed and not given.
        UnsupportedModelError: An encoder or a processor is of a kind that is not supported.
        MissingDependencyError: torch or transformers is not installed.
    """
    transformers = require("transformers", extra="torch")
    fusion = require("crossrank.models.architectures.fusion", extra="torch")
    weights = require("crossrank.models.torch_modules.weights", extra="torch")
    transformers.set_seed(seed)
    settings = processor if processor is not None else _settings(document)
    config, document_config = _config(text), _fitted(_config(document), settings)
    shape = document_shape(document_config, modality, settings)
    load_processor(settings, shape)  # a wrong one is refused now, not when a model is loaded
    model = fusion.Fusion(
        fusion.FusionConfig(config, document_config, modality, document_shape=shape, **join)
    )
    model.config.document_positions = _count_positions(model, shape)
    for encoder, source in ((model.text_encoder, text), (model.document_encoder, document)):
        if isinstance(source, str | Path):
            _fill(encoder, source)
        else:
            _spread(encoder)
    target = Path(folder)
    with weights.no_progress_bar():
        model.save_pretrained(target)
    _write_tokenizer(target, tokenizer if tokenizer is not None else text, config)
    _write(target / PROCESSOR, settings)
    return target


def document_shape(
    config: "PretrainedConfig", modality: Modality, settings: dict[str, Any]
) -> list[int]:
    """Tell the shape of one document's features.

    Args:
        config: The document encoder's.
        modality: What documents are.
        settings: The ``preprocessor_config.json``; says how long waveforms are.

    Returns:
        Channels, height and width; frames and mel bins, of Whisper mel bins and frames; or samples.

    Raises:
        InputError: A waveform's length is not given.
        UnsupportedModelError: The encoder says nothing of its input.
    """
    if modality == "audio" and config.model_type == _WHISPER:
        return [int(config.num_mel_bins), _FRAMES * int(config.max_source_positions)]
    if getattr(config, "is_encoder_decoder", False):
        raise UnsupportedModelError(
            f"An encoder is required, and {config.model_type} has a decoder too."
        )
    if modality == "image" and hasattr(config, "image_size"):
        size = config.image_size
        height, width = (size, size) if isinstance(size, int) else size
        return [int(getattr(config, "num_channels", 3)), int(height), int(width)]
    if modality == "audio" and hasattr(config, "num_mel_bins"):
        return [int(config.max_length), int(config.num_mel_bins)]
    if modality == "audio" and hasattr(config, "conv_stride"):
        if "max_length" not in settings:
            raise InputError(
                "The processor of a model that reads waveforms needs max_length: how many samples "
                "of a recording are read."
            )
        return [int(settings["max_length"])]
    raise UnsupportedModelError(
        f"{config.model_type} is not known as an encoder of {modality} documents."
    )


def _config(encoder: "Encoder") -> Any:
    if not isinstance(encoder, str | Path):
        return encoder
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(encoder, local_files_only=True)


def _fitted(config: Any, settings: dict[str, Any]) -> Any:
    """Leave Whisper's encoder the positions that its processor fills: it takes no fewer frames."""
    if config.model_type != _WHISPER or "chunk_length" not in settings:
        return config
    rate, step = settings.get("sampling_rate", 16000), settings.get("hop_length", 160)
    positions = int(settings["chunk_length"] * rate / step / _FRAMES)
    if not 0 < positions <= config.max_source_positions:
        longest = config.max_source_positions * _FRAMES * step / rate
        raise InputError(
            f"chunk_length must be the seconds of a recording that are read, at most {longest:g}, "
            f"which the encoder has positions for, received {settings['chunk_length']!r}."
        )
    fitted = copy.copy(config)
    fitted.max_source_positions = positions
    return fitted


def _settings(document: "Encoder") -> dict[str, Any]:
    if not isinstance(document, str | Path):
        raise InputError("A document encoder that is given as a config needs a processor.")
    return read_json(Path(document) / PROCESSOR)


def _fill(encoder: "PreTrainedModel", source: str | Path) -> None:
    """Take the weights of a pretrained encoder."""
    from transformers import AutoModel

    from crossrank.models.torch_modules.weights import clear_errors, no_progress_bar

    with clear_errors(Path(source)), no_progress_bar():
        given = AutoModel.from_pretrained(source, use_safetensors=True, local_files_only=True)
    weights = given.state_dict()
    if encoder.config.model_type == _WHISPER:
        weights = given.get_encoder().state_dict()
        positions = encoder.config.max_source_positions
        weights[_POSITIONS] = weights[_POSITIONS][:positions]  # sinusoids: the first stay the same
    # What is over is the pooling layer of the encoder; what is missing would start at random.
    missing = encoder.load_state_dict(weights, strict=False).missing_keys
    if missing:
        raise UnsupportedModelError(f"{source} has no weights for {', '.join(sorted(missing))}.")


def _spread(encoder: "PreTrainedModel") -> None:
    """Start what transformers starts at zero from small random numbers.

    Positions of the Audio Spectrogram Transformer do, meant to be filled with others' weights; the
    layer norm above them then has a gradient of a million.
    """
    for weight in encoder.parameters():
        if weight.ndim > 1 and not weight.any():
            weight.data.normal_(std=0.02)


def _count_positions(model: Any, shape: list[int]) -> int:
    import torch

    with torch.no_grad():
        return int(model.eval().document_states(torch.zeros(1, *shape)).shape[1])


def _write_tokenizer(target: Path, source: "Encoder", config: "PretrainedConfig") -> None:
    if not isinstance(source, str | Path):
        raise InputError("A text encoder that is given as a config needs a tokenizer.")
    file = Path(source) if Path(source).is_file() else tokenizer_file(Path(source))
    (target / "tokenizer.json").write_bytes(file.read_bytes())
    saved = file.parent / "tokenizer_config.json"
    settings = read_optional(saved)
    longest = getattr(config, "max_position_embeddings", None)
    _write(target / "tokenizer_config.json", {"model_max_length": longest} | settings)


def _write(file: Path, values: dict[str, Any]) -> None:
    file.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

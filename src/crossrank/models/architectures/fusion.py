"""Fusion cross-encoder: a text encoder for the query, an image or audio encoder for the document.

Either may be any encoder of transformers. Two ways to join what they make of their inputs:

- ``"pooled"``: the means of both, projected to one width, and their product, go to a small
  network. The product is needed: a linear head on two concatenated vectors would be the sum of a
  score of the query and one of the document, and rank the documents alike for every query.
- ``"cross_attention"``: the tokens of the query attend to the patches or frames of the document,
  as in the image-text matching of ALBEF (Li et al., 2021, arXiv:2107.07651). Each token is then
  compared with what it found, by their product, as in ESIM (Chen et al., 2017, arXiv:1609.06038):
  without, training from random weights finds no start.
"""

import inspect
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_MAPPING
from transformers.models.whisper.modeling_whisper import WhisperEncoder

Join = Literal["pooled", "cross_attention"]
JOINS: tuple[Join, ...] = ("pooled", "cross_attention")


class FusionConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """Both encoders, and how they are joined.

    Attributes:
        text_config: The text encoder's config.
        document_config: The image or audio encoder's config.
        modality: What documents are: ``"image"`` or ``"audio"``.
        join: How the encoders are joined.
        join_size: Width of what joins them.
        join_layers: Layers of cross-attention.
        join_heads: Attention heads of each.
        join_dropout: In the joining layers.
        document_shape: Shape of one document's features.
        document_positions: How many states the document encoder makes of them.
    """

    model_type = "crossrank-fusion"
    sub_configs = {"text_config": AutoConfig, "document_config": AutoConfig}  # noqa: RUF012
    has_no_defaults_at_init = True

    def __init__(
        self,
        text_config: PretrainedConfig | dict[str, Any],
        document_config: PretrainedConfig | dict[str, Any],
        modality: Literal["image", "audio"] = "image",
        *,
        join: Join = "cross_attention",
        join_size: int = 256,
        join_layers: int = 2,
        join_heads: int = 4,
        join_dropout: float = 0.1,
        document_shape: tuple[int, ...] | list[int] = (),
        document_positions: int = 0,
        num_labels: int = 1,
        **more: Any,
    ) -> None:
        if join not in JOINS:
            raise ValueError(f"join must be one of {', '.join(JOINS)}, received {join!r}.")
        self.text_config = _config(text_config)
        self.document_config = _config(document_config)
        self.modality = modality
        self.join = join
        self.join_size = join_size
        self.join_layers = join_layers
        self.join_heads = join_heads
        self.join_dropout = join_dropout
        self.document_shape = list(document_shape)
        self.document_positions = document_positions
        # Where every other model has them: what limits and pads a query.
        more.setdefault("pad_token_id", self.text_config.pad_token_id)
        positions = getattr(self.text_config, "max_position_embeddings", None)
        self.max_position_embeddings = more.pop("max_position_embeddings", positions)
        super().__init__(**{"num_labels": num_labels, **more})


class Fusion(PreTrainedModel):  # type: ignore[no-untyped-call]
    """Scores a text query against an image or a recording.

    Attributes:
        text_encoder: Any encoder of texts.
        document_encoder: Any encoder of pixels, spectrograms or waveforms.
        joined: From the states of both to the features of the head.
        head: From those to the logits.
    """

    config_class = FusionConfig
    base_model_prefix = "fusion"
    _supports_sdpa = True

    def __init__(self, config: FusionConfig) -> None:
        super().__init__(config)
        self.text_encoder = _encoder(config.text_config)
        self.document_encoder = _encoder(config.document_config)
        widths = config.text_config.hidden_size, config.document_config.hidden_size
        self.joined = (_Pooled if config.join == "pooled" else _CrossAttention)(config, *widths)
        self.head = nn.Linear(config.join_size, config.num_labels or 1)
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if isinstance(module, nn.Linear):
            # As wide as the layer wants it: from transformers' 0.02 the sides take long to meet.
            nn.init.xavier_uniform_(module.weight)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, features: Tensor
    ) -> Tensor:
        """Compute the logits of a batch of pairs.

        Args:
            input_ids: The queries, padded, ``[pairs, length]``.
            attention_mask: 1 for tokens, 0 for padding, ``[pairs, length]``.
            token_type_ids: Not used: there is only a query.
            features: What the document encoder reads, ``[pairs, *document_shape]``.

        Returns:
            Logits ``[pairs, labels]``.
        """
        del token_type_ids
        query = self.text_encoder(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state
        document = self.document_states(features)
        logits: Tensor = self.head(self.joined(query, attention_mask, document))
        return logits

    def document_states(self, features: Tensor) -> Tensor:
        """Compute the states of patches or frames, ``[pairs, positions, size]``."""
        states: Tensor = self.document_encoder(features.to(self.dtype)).last_hidden_state
        return states


class _Match(nn.Module):
    """Two vectors and their product, through one hidden layer."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.mix = nn.Linear(3 * config.join_size, config.join_size)
        self.dropout = nn.Dropout(config.join_dropout)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        features = torch.cat([one, other, one * other], dim=-1)
        mixed: Tensor = self.dropout(nn.functional.gelu(self.mix(features)))
        return mixed


class _Pooled(nn.Module):
    """The means of both sides, matched."""

    def __init__(self, config: FusionConfig, query_size: int, document_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_size, config.join_size)
        self.document = nn.Linear(document_size, config.join_size)
        self.match = _Match(config)

    def forward(self, query: Tensor, mask: Tensor, document: Tensor) -> Tensor:
        means = self.query(_mean(query, mask)), self.document(document.mean(dim=1))
        matched: Tensor = self.match(*means)
        return matched


class _CrossAttention(nn.Module):
    """Layers in which the query's tokens look at the document; each is matched with its find."""

    def __init__(self, config: FusionConfig, query_size: int, document_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_size, config.join_size)
        self.document = nn.Linear(document_size, config.join_size)
        self.document_norm = nn.LayerNorm(config.join_size)
        self.layers = nn.ModuleList(_CrossLayer(config) for _ in range(config.join_layers))
        self.norm = nn.LayerNorm(config.join_size)
        self.match = _Match(config)

    def forward(self, query: Tensor, mask: Tensor, document: Tensor) -> Tensor:
        tokens, seen = self.query(query), self.document_norm(self.document(document))
        found = tokens
        for layer in self.layers:
            found = layer(found, seen)
        return _mean(self.match(tokens, self.norm(found)), mask)


class _CrossLayer(nn.Module):
    """Attention from tokens to patches or frames, and a feed-forward part."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        size = config.join_size
        self.heads = config.join_heads
        self.attention_norm = nn.LayerNorm(size)
        self.queries = nn.Linear(size, size)
        self.keys_values = nn.Linear(size, 2 * size)
        self.output = nn.Linear(size, size)
        self.forward_norm = nn.LayerNorm(size)
        self.widen = nn.Linear(size, 4 * size)
        self.narrow = nn.Linear(4 * size, size)
        self.dropout = nn.Dropout(config.join_dropout)

    def forward(self, tokens: Tensor, document: Tensor) -> Tensor:
        queries = self._split(self.queries(self.attention_norm(tokens)))
        keys, values = map(self._split, self.keys_values(document).chunk(2, dim=-1))
        found = nn.functional.scaled_dot_product_attention(queries, keys, values)
        tokens = tokens + self.dropout(self.output(found.transpose(1, 2).flatten(2)))
        widened = nn.functional.gelu(self.widen(self.forward_norm(tokens)))
        result: Tensor = tokens + self.dropout(self.narrow(widened))
        return result

    def _split(self, states: Tensor) -> Tensor:
        """``[pairs, positions, size]`` to ``[pairs, heads, positions, size / heads]``."""
        pairs, positions, size = states.shape
        return states.view(pairs, positions, self.heads, size // self.heads).transpose(1, 2)


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    weights = mask.to(states.dtype)[:, :, None]
    return (states * weights).sum(dim=1) / weights.sum(dim=1)


def _config(value: PretrainedConfig | dict[str, Any]) -> PretrainedConfig:
    if isinstance(value, PretrainedConfig):
        return value
    values = dict(value)
    return AutoConfig.for_model(values.pop("model_type"), **values)


def _encoder(config: PretrainedConfig) -> PreTrainedModel:
    """Make an encoder, without the decoder or pooling layer of some, which nothing here reads."""
    kind: Any = WhisperEncoder if config.model_type == "whisper" else MODEL_MAPPING[type(config)]
    takes = inspect.signature(kind).parameters
    pooling = {"add_pooling_layer": False} if "add_pooling_layer" in takes else {}
    network: PreTrainedModel = kind(config, **pooling)
    return network

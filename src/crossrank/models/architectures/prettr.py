"""Blind-then-joint cross-encoder: PreTTR layers under a late-interaction head.

Query and document are one input. In the lower layers each side attends only within itself, in the
upper ones across the pair (PreTTR; MacAvaney et al., SIGIR 2020, arXiv:2004.14255). The lower
layers of a document do not depend on the query and can be computed ahead of time; and a bi-encoder
is a usable start, because its lower layers see exactly what they were trained on.

Two features of the final states make the logit: MaxSim (Khattab & Zaharia, SIGIR 2020,
arXiv:2004.12832), the mean over query tokens of the best cosine with a document token, and the
same the other way round.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel, PreTrainedModel

MASKED = -1e4  # added to what must not be seen: finite, so that fp16 and padded rows stay sane


class PreTTRConfig(BertConfig):  # type: ignore[no-untyped-call]
    """The sizes of BERT, and how the two sides meet.

    Attributes:
        join_layer: Number of lower layers that attend only within each side.
        cross_bias: Start value of the bias on attention across the pair in the joint layers. A
            backbone that never saw pairs needs a negative one: the document has so many more
            tokens that it would drown the query's own.
    """

    model_type = "prettr"
    has_no_defaults_at_init = True  # so that every size is written to config.json

    def __init__(
        self, join_layer: int = 5, cross_bias: float = -2.0, num_labels: int = 1, **sizes: Any
    ) -> None:
        super().__init__(**{"num_labels": num_labels, **sizes})
        self.join_layer = join_layer
        self.cross_bias = cross_bias


class PreTTR(PreTrainedModel):  # type: ignore[no-untyped-call]
    """Scores pairs; ``from_pretrained`` reads its own folders and those of a plain BERT.

    Attributes:
        bert: The backbone; its layers get this class's attention masks.
        cross_bias: Added to attention scores across the pair, one number a joint layer.
        head: From features to the logit.
    """

    config_class = PreTTRConfig
    base_model_prefix = "bert"
    _supports_sdpa = True

    def __init__(self, config: PreTTRConfig) -> None:
        super().__init__(config)
        if not 0 <= config.join_layer <= config.num_hidden_layers:
            raise ValueError(
                f"join_layer must be 0 to {config.num_hidden_layers}, received {config.join_layer}."
            )
        self.bert = BertModel(config, add_pooling_layer=False)
        joint_layers = config.num_hidden_layers - config.join_layer
        self.cross_bias = nn.Parameter(torch.empty(joint_layers))
        self.head = nn.Linear(2, 1)
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if module is self:
            nn.init.constant_(self.cross_bias, self.config.cross_bias)

    def layers_kept(self, kept: Sequence[int]) -> None:
        """Fit what belongs to single layers to those that were kept of them."""
        join = self.config.join_layer
        joint = [layer - join for layer in kept if layer >= join]
        self.config.join_layer = len(kept) - len(joint)
        self.cross_bias = nn.Parameter(self.cross_bias.detach()[joint])

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Compute the logits of a batch of pairs.

        Args:
            input_ids: Query then document, padded on the right, ``[pairs, length]``.
            attention_mask: 1 for tokens, 0 for padding, ``[pairs, length]``.
            token_type_ids: 1 for the document with its special tokens, else 0, ``[pairs, length]``.

        Returns:
            Logits ``[pairs, 1]``.
        """
        final = self.states(input_ids, attention_mask, token_type_ids)[-1]
        logits: Tensor = self.head(self.features(final, attention_mask, token_type_ids))
        return logits

    def states(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor
    ) -> list[Tensor]:
        """Compute the token states after every layer, ``[pairs, length, size]`` each."""
        query_lengths = (attention_mask * (1 - token_type_ids)).sum(dim=1, keepdim=True)
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        # The backbone knows single texts only: the document starts anew at position 0, type 0.
        hidden = self.bert.embeddings(
            input_ids,
            token_type_ids=torch.zeros_like(input_ids),
            position_ids=positions - token_type_ids * query_lengths,
        )
        hide_padding = ((1 - attention_mask) * MASKED).to(hidden.dtype)[:, None, None, :]
        across = (token_type_ids[:, :, None] != token_type_ids[:, None, :]).to(hidden.dtype)
        across = across[:, None]
        biases = [MASKED] * self.config.join_layer + list(self.cross_bias)
        states = []
        for layer, bias in zip(self.bert.encoder.layer, biases, strict=True):
            hidden = layer(hidden, hide_padding + across * bias)
            states.append(hidden)
        return states

    @staticmethod
    def features(states: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Compute MaxSim from query to document and back, ``[pairs, 2]``."""
        document = token_type_ids.to(states.dtype)
        query = attention_mask.to(states.dtype) - document
        tokens = nn.functional.normalize(states, dim=-1)
        cosines = tokens @ tokens.transpose(1, 2)
        best_in_document = (cosines + (1 - document)[:, None, :] * MASKED).amax(dim=2)
        best_in_query = (cosines + (1 - query)[:, None, :] * MASKED).amax(dim=2)
        forth = (best_in_document * query).sum(dim=1) / query.sum(dim=1)
        back = (best_in_query * document).sum(dim=1) / document.sum(dim=1)
        return torch.stack([forth, back], dim=1)

"""Rerankers that answer with a word: causal language models and monoT5.

The logit of a pair is ``logit[true] - logit[false]`` for the two words of the answer, or
``logit[true]`` alone when the model has no word for "false". Its sigmoid is the probability of
"true" among both words, which is the score that Qwen3-Reranker (Zhang et al., 2025) and monoT5
(Nogueira et al., 2020) define.
"""

from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel

from crossrank.errors import UnsupportedModelError
from crossrank.models.spec import ModelSpec
from crossrank.models.torch_modules.weights import load_pretrained, read_config


def answer_logits(vocabulary: Tensor, true_token: int, false_token: int | None) -> Tensor:
    """Turn logits over the vocabulary ``[pairs, words]`` into one logit a pair ``[pairs, 1]``.

    Example:
        >>> answer_logits(torch.tensor([[0.5, 2.0, 1.0]]), true_token=1, false_token=2)
        tensor([[1.]])
    """
    true = vocabulary[:, true_token].float()
    if false_token is not None:
        true = true - vocabulary[:, false_token].float()
    return true.unsqueeze(1)


def last_logits(
    model: PreTrainedModel,
    input_ids: Tensor,
    attention_mask: Tensor | None,
    images: dict[str, Tensor] | None = None,
) -> Tensor:
    """Compute a causal model's logits after the last token, ``[pairs, words]``.

    Pairs are padded on the left. Positions count from each pair's first token, so that padding
    changes nothing.

    Args:
        model: The model.
        input_ids: ``[pairs, length]``.
        attention_mask: ``[pairs, length]``, ``None`` where nothing is padded.
        images: What the model takes of images; it then counts the positions itself, in images by
            rows and columns.
    """
    positions = None
    if attention_mask is not None and not images:
        positions = (attention_mask.cumsum(dim=1) - 1).clamp(min=0)
    output = model(
        input_ids=input_ids,
        attention_mask=attention_mask,
        position_ids=positions,
        logits_to_keep=1,
        use_cache=False,
        **(images or {}),
    )
    logits: Tensor = output.logits
    return logits[:, -1]


class AnswerScorer(nn.Module):
    """A language model whose first word is the answer.

    Args:
        model: The language model.
        true_token: Id of the word for "relevant".
        false_token: Id of the word for "not relevant", if there is one.
    """

    auto_class: ClassVar[Any]

    def __init__(self, model: PreTrainedModel, true_token: int, false_token: int | None) -> None:
        super().__init__()
        self.model = model
        self.true_token = true_token
        self.false_token = false_token

    @classmethod
    def load(cls, spec: ModelSpec, dtype: torch.dtype, options: dict[str, Any]) -> Self:
        """Load the model of a folder."""
        if spec.true_token is None:
            raise UnsupportedModelError(
                f"{spec.name} is a language model, and nothing says which word of its answer "
                "means 'relevant'. Save it with sentence-transformers' LogitScore module, which "
                "names true_token_id."
            )
        config = read_config(spec, spec.folder, options)
        model = load_pretrained(cls.auto_class, spec.folder, config, dtype, options)
        return cls(model, spec.true_token, spec.false_token)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        token_type_ids: Tensor,
    ) -> Tensor:
        """Compute logits ``[pairs, 1]``."""
        vocabulary = self.first_word(input_ids, attention_mask)
        return answer_logits(vocabulary, self.true_token, self.false_token)

    def first_word(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Compute the logits of the answer's first word, ``[pairs, words]``."""
        raise NotImplementedError


class CausalScorer(AnswerScorer):
    """A causal language model (Qwen3-Reranker, mxbai-rerank-v2)."""

    auto_class = AutoModelForCausalLM

    def first_word(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Read the logits after the last token."""
        return last_logits(self.model, input_ids, attention_mask)


class SequenceToSequenceScorer(AnswerScorer):
    """monoT5: an encoder reads the pair, the decoder's first word is the answer.

    monoT5's score is the log-probability of "true" among "true" and "false". The logit here is
    the log-odds of the same two words; its sigmoid is that probability, and the order is the
    same.
    """

    auto_class = AutoModelForSeq2SeqLM

    def first_word(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Run one step of the decoder."""
        start = self.model.config.decoder_start_token_id
        output = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            decoder_input_ids=torch.full_like(input_ids[:, :1], start),
            use_cache=False,
        )
        logits: Tensor = output.logits
        return logits[:, -1]

"""Integrated gradients of sequence classifiers on torch.

Sundararajan, Taly & Yan, "Axiomatic Attribution for Deep Networks", ICML 2017. The embeddings of
the document's tokens go in a straight line from those of padding to their own; query and special
tokens stay. A token's attribution is the gradient of the logit at its embedding, integrated over
that line, times the way it went. So all attributions sum to what the document changed in the logit,
as far as ``steps`` points tell the integral.
"""

import warnings

import numpy as np
import torch
from torch import Tensor, nn

from crossrank.backends.base import Backend
from crossrank.backends.torch import TorchBackend
from crossrank.batching import collate
from crossrank.errors import UnsupportedModelError
from crossrank.explanation.occlusion import Attribution
from crossrank.explanation.parts import Parts
from crossrank.models.torch_modules.classification import SequenceClassifier
from crossrank.scoring import Scorer
from crossrank.tokenization import Encoded

TOLERANCE = 0.05
"""How far a logit computed from embeddings may be from that of the tokens (half precision), and the
sum of all attributions, as a share, from what it should be."""


def integrate_gradients(
    scorer: Scorer, query: str, parts: Parts, *, prompt: str | None, label: int, steps: int
) -> Attribution:
    """Attribute the logit of a document to its parts.

    Args:
        scorer: The engine, on torch.
        query: The query.
        parts: The document.
        prompt: Put before the query.
        label: Which logit.
        steps: Points of the integral (Gauss-Legendre), each a pass through the model and back.

    Returns:
        Sums over the tokens of each part; the baseline is the logit of a document of padding.

    Raises:
        UnsupportedModelError: It is no sequence classifier that computes from embeddings.
    """
    classifier = _classifier(scorer.backends[0])
    tokenizer = scorer.tokenizer
    (encoded,) = tokenizer.encode([(query, parts.text)], prompt=prompt)
    offsets = tokenizer.offsets(parts.text)
    offsets = offsets[: len(offsets) - encoded.truncated_document]
    end = len(encoded.ids) - tokenizer.tokens_after
    document = slice(end - len(offsets), end)
    line = _Line(classifier, encoded, document, pad=scorer.spec.pad_token_id, label=label)
    baseline, logit = line.ends()
    tokens = line.integrate(steps, rows=max(1, scorer.token_budget // len(encoded.ids)))
    tokens = tokens[document]
    _check_sum(float(tokens.sum()), logit - baseline, steps)
    values = np.bincount(parts.part_of(offsets[:, 1]), weights=tokens, minlength=len(parts))
    return Attribution(values[: len(parts)], logit, baseline)


def _check_sum(found: float, expected: float, steps: int) -> None:
    if abs(found - expected) > TOLERANCE * max(1.0, abs(expected)):
        warnings.warn(
            f"The attributions sum to {found:.3f}, and the document changes the logit by "
            f"{expected:.3f}: {steps} steps are too few for this model. Raise steps.",
            UserWarning,
            stacklevel=2,
        )


class _Line:
    """The straight line from padding to a document's embeddings, and the model along it."""

    def __init__(
        self,
        classifier: SequenceClassifier,
        encoded: Encoded,
        document: slice,
        *,
        pad: int,
        label: int,
    ) -> None:
        device = next(classifier.parameters()).device
        batch = collate([encoded], pad_token_id=pad)
        self.classifier = classifier
        self.label = label
        self.ids = torch.from_numpy(batch.input_ids).to(device)
        self.types = torch.from_numpy(batch.token_type_ids).to(device)
        blank = self.ids.clone()
        blank[:, document] = pad
        with torch.no_grad():
            self.start = _embed(classifier, blank)
            self.way = _embed(classifier, self.ids) - self.start

    def ends(self) -> tuple[float, float]:
        """The logits of the document of padding, and of the document.

        Raises:
            UnsupportedModelError: The model computes nothing, or something else, from embeddings.
        """
        shares = torch.tensor([0.0, 1.0], device=self.way.device)
        with torch.no_grad():
            expected = self.classifier(self.ids, None, self.types)[0, self.label].item()
            try:
                baseline, logit = self._forward(self._points(shares)).tolist()
            except (NotImplementedError, TypeError) as error:  # BART; code of the model's own
                raise UnsupportedModelError(
                    "method='gradients' needs a model that takes embeddings in place of tokens; "
                    f"this one says: {error}. Use method='tokens'."
                ) from error
        if abs(logit - expected) > TOLERANCE:
            raise UnsupportedModelError(
                "method='gradients' needs a model that computes from embeddings what it computes "
                f"from tokens; the logits of this one are {logit:.4f} and {expected:.4f}. "
                "Use method='tokens'."
            )
        return baseline, expected

    def integrate(self, steps: int, rows: int) -> np.ndarray:
        """Integrate the gradient, times the way; ``rows`` points at a time; ``[tokens]``."""
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        device, dtype = self.way.device, torch.float32
        shares = torch.tensor((nodes + 1) / 2, device=device, dtype=dtype)
        parts = torch.tensor(weights / 2, device=device, dtype=dtype)
        total = torch.zeros_like(self.way, dtype=dtype)
        with torch.enable_grad():
            for some, part in zip(torch.split(shares, rows), torch.split(parts, rows), strict=True):
                points = self._points(some).requires_grad_()
                (gradient,) = torch.autograd.grad((self._forward(points) * part).sum(), points)
                total += gradient.sum(dim=0)
        return np.asarray((total * self.way).sum(dim=-1)[0].cpu().numpy())

    def _points(self, shares: Tensor) -> Tensor:
        return self.start + shares[:, None, None].to(self.way.dtype) * self.way

    def _forward(self, points: Tensor) -> Tensor:
        rows = len(points)
        types = (
            {"token_type_ids": self.types.expand(rows, -1)} if self.classifier.token_types else {}
        )
        mask = torch.ones(points.shape[:2], dtype=torch.int64, device=points.device)
        output = self.classifier.model(inputs_embeds=points, attention_mask=mask, **types)
        logits: Tensor = output.logits[:, self.label].float()
        return logits


def _embed(classifier: SequenceClassifier, ids: Tensor) -> Tensor:
    embeddings = classifier.model.get_input_embeddings()
    assert isinstance(embeddings, nn.Module)
    vectors: Tensor = embeddings(ids)
    return vectors


def _classifier(backend: Backend) -> SequenceClassifier:
    assert isinstance(backend, TorchBackend)
    module = backend.module
    if not isinstance(module, SequenceClassifier):
        raise UnsupportedModelError(
            "method='gradients' works for sequence classifiers of transformers, not in half "
            f"precision without padding; received {type(module).__name__}. "
            "Use precision='fp32' for such a classifier, and method='tokens' for other models."
        )
    return module

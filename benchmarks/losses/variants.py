"""The losses that are compared, each with the options that it needs."""

from typing import Any, NamedTuple


class Variant(NamedTuple):
    """A loss as a recipe would name it.

    Attributes:
        loss: A key of ``crossrank.losses.LOSSES``.
        options: What differs from the defaults.
    """

    loss: str
    options: dict[str, Any]

    def __str__(self) -> str:
        options = ", ".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.loss} ({options})" if options else self.loss


POINTWISE = [
    Variant("binary_cross_entropy", {}),
    Variant("gbce", {"pool": 30}),
    Variant("mse", {}),
]
PAIRWISE = [
    Variant("ranknet", {}),
    Variant("hinge", {}),
    Variant("lambda_loss", {"weighting": "none"}),
    Variant("lambda_loss", {"weighting": "lambdarank"}),
    Variant("lambda_loss", {"weighting": "ndcg_loss1"}),
    Variant("lambda_loss", {"weighting": "ndcg_loss2"}),
    Variant("lambda_loss", {"weighting": "ndcg_loss2pp"}),
    Variant("lambda_loss", {"weighting": "lambda_mrr"}),
    Variant("lambda_loss", {"weighting": "arp_loss1"}),
    Variant("lambda_loss", {"weighting": "arp_loss2"}),
]
LISTWISE = [
    Variant("listnet", {}),
    Variant("listnet", {"label_temperature": 0.2}),
    Variant("listmle", {}),
    Variant("position_aware_listmle", {}),
    Variant("softmax_cross_entropy", {}),
    Variant("approx_ndcg", {}),
    Variant("approx_mrr", {}),
    Variant("neural_ndcg", {}),
    Variant("neural_ndcg", {"transposed": True}),
    Variant("adr_mse", {}),
]
CONTRASTIVE = [Variant("multiple_negatives_ranking", {})]
DISTILLATION = [
    Variant("margin_mse", {}),
    Variant("kl_divergence", {}),
    Variant("mse", {"target": "teacher_scores"}),
]

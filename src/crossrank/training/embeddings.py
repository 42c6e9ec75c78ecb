"""Gradients of embeddings, which touch few rows of a large table."""

from torch import nn


def use_sparse_gradients(module: nn.Module) -> None:
    """Let embeddings report the rows that were read, not the whole table.

    On a CPU, writing a table of zeros for every mini-batch takes as long as a layer does.
    """
    for part in module.modules():
        if isinstance(part, nn.Embedding) and part.weight.requires_grad:
            part.sparse = True


def make_dense(module: nn.Module) -> None:
    """Turn the gradients into whole tables, as clipping and optimizers want them."""
    for parameter in module.parameters():
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.to_dense()

"""A batch as the arguments of a torch module."""

import torch
from torch import Tensor

from crossrank.batching import Batch


def module_inputs(batch: Batch, device: torch.device) -> list[Tensor | None]:
    """Put a batch on a device, in the order in which modules take it.

    Without padding there is no mask: attention takes a faster kernel then.
    """
    mask = None if batch.attention_mask.all() else batch.attention_mask
    arrays = (batch.input_ids, mask, batch.token_type_ids, *batch.more)
    return [None if array is None else torch.from_numpy(array).to(device) for array in arrays]

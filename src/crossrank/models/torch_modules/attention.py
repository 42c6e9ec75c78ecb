"""Which attention kernels torch chooses from on a GPU."""

import torch


def leave_out_cudnn(device: torch.device) -> None:
    """Keep cuDNN's attention from being chosen, in the whole process, if this is an NVIDIA GPU.

    It makes a plan for each new shape of its inputs, which takes longer than a batch, and batches
    of texts hardly ever have the same shape twice. On an H100 training took 0.18 s a step without
    it and 1.28 s with it.
    """
    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)

"""Model FLOPs utilisation: the share of the GPUs' peak that the model's own operations take.

As in PaLM (arXiv 2204.02311, appendix B): a token costs 6 operations a parameter (forward and
backward) and 12 x layers x width x tokens of a sequence for attention, whatever is computed twice
or, being masked, not at all. An input embedding that is not the output layer too is looked up and
not multiplied, so it does not count. Known for bf16 on the GPUs below; on a CPU there is none.
"""

from collections.abc import Callable

import torch

from services.training.model import Llama
from shared.training_run import RunSpec

#: Dense bf16 operations a second with what the device's name holds, the first that fits. NVIDIA's
#: data sheets of H200 (SXM, NVL), H100 (SXM, PCIe, NVL) and A100, which give twice as much for
#: sparse matrices: 1,979 (SXM), 1,671 (NVL), 1,513 (PCIe) and 624 (A100) x 10^12.
PEAKS = (
    ("H200 NVL", 835.5e12),
    ("H200", 989.5e12),
    ("H100 PCIe", 756.5e12),
    ("H100 NVL", 835.5e12),
    ("H100", 989.5e12),
    ("A100", 312e12),
)


def peak_of(device: str) -> float | None:
    """Operations a second of a device of this name; None where it is not known."""
    return next((peak for name, peak in PEAKS if name in device), None)


def operations_a_token(model: Llama, spec: RunSpec, length: int) -> float:
    """Of one step's forward and backward pass, with sequences of `length` tokens."""
    parameters = sum(p.numel() for p in model.parameters())
    if not spec.shape.tied:
        parameters -= model.model.embed_tokens.weight.numel()
    return 6 * parameters + 12 * spec.shape.layers * spec.shape.width * length


def utilisation(
    model: Llama, spec: RunSpec, length: int, device: torch.device, world: int
) -> Callable[[float], dict[str, float]]:
    """What a speed in tokens a second adds to a step's metrics: `mfu`, where it is known."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    peak = peak_of(name) if spec.dtype == "bf16" else None
    if peak is None:
        return lambda _speed: {}
    share = operations_a_token(model, spec, length) / (peak * world)
    return lambda speed: {"mfu": round(speed * share, 4)}

"""torch's own count of FLOPs, which the stated costs are held to."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, flop_registry

CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


def flop_counter() -> FlopCounterMode:
    """torch's counter, made to see fused attention on the CPU, which torch 2.11 passes over."""
    seen = CPU_ATTENTION in flop_registry
    return FlopCounterMode(
        display=False, custom_mapping={} if seen else {CPU_ATTENTION: _attention_flops}
    )


def _attention_flops(query: Any, key: Any, value: Any, *rest: Any, **options: Any) -> int:
    """Both products of attention by their shapes [batch, heads, tokens, head_dim]."""
    batch, heads, new, dim = query
    return 2 * batch * heads * new * key[2] * (dim + value[3])

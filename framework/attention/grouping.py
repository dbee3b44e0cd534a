"""Query heads of a GQA group as rows of the KV head they share, and back."""

from __future__ import annotations

from torch import Tensor


def by_kv_head(of_queries: Tensor, num_kv_heads: int) -> Tensor:
    """[B, K, G*T, D] from [B, H, T, D], row g T + t for query t of head g of the group."""
    batch, _, _, head_dim = of_queries.shape
    return of_queries.reshape(batch, num_kv_heads, -1, head_dim)


def by_query_head(of_groups: Tensor, num_rows: int) -> Tensor:
    """[B, H, T, D] from [B, K, G*T, D], with T rows of each query head."""
    batch, _, _, head_dim = of_groups.shape
    return of_groups.reshape(batch, -1, num_rows, head_dim)

"""Exact attention over a few query rows at a time, which gives their weights on the way."""

from __future__ import annotations

import torch
from torch import Tensor

from .backend import Backend, Inputs
from .merging import Reading
from .plain import output_of, reading_of, receive_rows
from .reductions import WeightReductions

# Rows of a KV head at a time on the CPU, those of all query heads of its group. Fewer make poor
# matrix products, more leave the cache before softmax reads them again. With mass, 259 queries, 14
# heads of 64: 39 ms with 399 rows and 25 with 256 at 1,295 keys, 527 with 32 and 334 with 128 at
# 16,576; 28 heads of 128 at 16,576 keys: 2,079 with 14 and 1,087 with 128 (medians of 7, one core).
ROWS = (128, 256)
CACHED_NUMBERS = 1 << 20
# Weights held at a time, 64 MiB in float32.
CHUNK_NUMBERS = 1 << 24


class Chunked(Backend):
    """Never holds the whole matrix; the mass costs no further product of queries and keys."""

    name = "chunked"

    def output(self, inputs: Inputs, received: WeightReductions) -> Tensor:
        return torch.cat([output_of(inputs, received, rows) for rows in row_chunks(inputs)], 2)

    def read(self, inputs: Inputs) -> Reading:
        parts = [reading_of(inputs, rows) for rows in row_chunks(inputs)]
        return Reading(*(torch.cat(part, 2) for part in zip(*parts, strict=True)))

    def receive(self, inputs: Inputs, whole: Reading, received: WeightReductions) -> None:
        receive_in_chunks(inputs, whole, received)


def receive_in_chunks(inputs: Inputs, whole: Reading, received: WeightReductions) -> None:
    """`Backend.receive`, a few query rows at a time."""
    for rows in row_chunks(inputs):
        receive_rows(inputs, whole, received, rows)


def row_chunks(inputs: Inputs) -> tuple[Tensor, ...]:
    """The numbers of all query rows, a few at a time."""
    batch, num_kv_heads, num_keys, _ = inputs.keys.shape
    row = max(1, batch * num_kv_heads * num_keys)
    rows = CHUNK_NUMBERS // row
    if inputs.query.device.type == "cpu":
        least, most = ROWS
        rows = min(rows, max(least, min(most, CACHED_NUMBERS // row)))
    group = inputs.query.shape[1] // num_kv_heads
    return inputs.rows.split(max(1, rows // group))

"""Exact attention over a few query rows at a time, which gives their weights on the way."""

from __future__ import annotations

import torch
from torch import Tensor

from .backend import Backend, Inputs
from .merging import Reading
from .plain import output_of, reading_of, receive_rows
from .reductions import WeightReductions

# Weights held at a time: 1 Mi numbers, 4 MiB in float32. Measured on one CPU core with 259 queries,
# 14 heads and 4355 keys: 58, 48 and 62 ms at 2^19, 2^20 and 2^22.
CHUNK_NUMBERS = 1 << 20


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
    row = inputs.query.shape[0] * inputs.query.shape[1] * inputs.keys.shape[2]
    return inputs.rows.split(max(1, CHUNK_NUMBERS // max(1, row)))

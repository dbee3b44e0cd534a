"""What a stream costs: FLOPs of its matrix products (two per multiply-add), bytes of its KV."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate


@dataclass(frozen=True)
class DecoderSpec:
    """The dimensions of a decoder."""

    num_layers: int
    hidden: int
    intermediate: int
    num_query_heads: int
    num_kv_heads: int
    head_dim: int
    vocab: int  # only the LM head depends on it: asking pays for that, pushing does not

    @property
    def linear_parameters(self) -> int:
        """Weights every token passes, over all layers: q, k, v, o and three MLP matrices."""
        attention = 2 * self.hidden * (self.num_query_heads + self.num_kv_heads) * self.head_dim
        return self.num_layers * (attention + 3 * self.hidden * self.intermediate)

    def kv_bytes_per_token(self, dtype_bytes: int) -> int:
        """Bytes of one token's keys and values over all layers (bfloat16: `dtype_bytes=2`)."""
        return 2 * self.num_layers * self.num_kv_heads * self.head_dim * dtype_bytes


@dataclass(frozen=True)
class VisionSpec:
    """A vision transformer and its projector, as they see one frame (or one temporal patch)."""

    num_layers: int
    hidden: int
    intermediate: int
    patches: int
    patch_dim: int  # numbers in a patch: channels * height * width (* frames, if temporal)
    projector_hidden: int
    projector_out: int
    class_tokens: int = 0  # part of the tower's attention, but neither embedded nor projected
    merge: int = 4  # patches joined into one visual token
    num_projectors: int = 1  # Qwen3-VL: one, and one for each DeepStack level

    @property
    def flops_per_frame(self) -> int:
        """FLOPs of one pass: patch embedding, transformer layers, projector."""
        tokens = self.patches + self.class_tokens
        weights = 4 * self.hidden**2 + 2 * self.hidden * self.intermediate
        layer = 2 * weights * tokens + 4 * tokens**2 * self.hidden
        embedding = 2 * self.patches * self.patch_dim * self.hidden
        widths = self.merge * self.hidden + self.projector_out
        projector = 2 * (self.patches // self.merge) * widths * self.projector_hidden
        return embedding + self.num_layers * layer + self.num_projectors * projector


def step_flops(
    spec: DecoderSpec,
    *,
    batch: int = 1,
    new_tokens: int,
    context_tokens: int | Sequence[int],
    extra_products: int = 0,
) -> int:
    """FLOPs of one decoder step, without the LM head.

    `context_tokens` are the slots carried into the step: one number, or one for each layer.
    `extra_products` of the size of QK^T are taken beside attention's own two: none, or one for a
    fused kernel that computes QK^T again to get the mass, see `attention.backend.Backend`.
    """
    same = isinstance(context_tokens, int)
    contexts = [context_tokens] * spec.num_layers if same else list(context_tokens)
    if len(contexts) != spec.num_layers or min(batch, new_tokens, *contexts) < 0:
        raise ValueError(
            f"batch={batch}, new_tokens={new_tokens}, context_tokens={context_tokens}: give counts "
            f"from 0, and context_tokens as one number or one for each of {spec.num_layers} layers"
        )
    keys = sum(contexts) + spec.num_layers * new_tokens
    attention = 2 * (2 + extra_products) * new_tokens * keys * spec.num_query_heads * spec.head_dim
    return batch * (2 * spec.linear_parameters * new_tokens + attention)


def stream_flops(
    spec: DecoderSpec,
    *,
    frames: int,
    tokens_per_frame: int,
    capacity: int | None = None,
    window: int | None = None,
    extra_products: int = 0,
    vision: VisionSpec | None = None,
) -> list[int]:
    """FLOPs of each frame of a stream; their sum is the cost of the whole.

    A frame attends to what is carried of all frames before it: at most `capacity` slots, at most
    `window` frames, or without either everything (full attention).
    """
    bounds = [capacity, None if window is None else window * tokens_per_frame]
    bound = min((b for b in bounds if b is not None), default=frames * tokens_per_frame)
    carried = [min(earlier * tokens_per_frame, bound) for earlier in range(frames)]
    tower = vision.flops_per_frame if vision else 0
    step = partial(step_flops, spec, new_tokens=tokens_per_frame, extra_products=extra_products)
    return [tower + step(context_tokens=k) for k in carried]


def break_even(
    curve: Sequence[int], reference: Sequence[int], *, cumulative: bool = False
) -> int | None:
    """The frame (from 1) since which `curve` stays below `reference`; None if it never does.

    Both are per frame, as from `stream_flops`, and equally long; `cumulative` compares their sums.
    """
    ours, theirs = (accumulate(c) if cumulative else c for c in (curve, reference))
    dearer = [n for n, (a, b) in enumerate(zip(ours, theirs, strict=True), 1) if a >= b]
    first = max(dearer, default=0) + 1
    return first if first <= len(curve) else None

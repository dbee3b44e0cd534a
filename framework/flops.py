"""What a stream costs: FLOPs of its matrix products (two per multiply-add), bytes of its KV."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import accumulate
from math import prod


@dataclass(frozen=True)
class RecurrentSpec:
    """The layers of a hybrid decoder that carry a state of fixed size instead of KV: Gated DeltaNet
    (arXiv 2412.06464), a short convolution and a matrix per value head.

    Attributes:
        layers: their numbers in the decoder.
        kernel: tokens that the convolution sees.
        chunk: tokens that pass the delta rule together.
    """

    layers: tuple[int, ...]
    num_key_heads: int
    num_value_heads: int
    key_dim: int
    value_dim: int
    kernel: int
    chunk: int = 64

    @property
    def channels(self) -> int:
        """Of the convolution: queries, keys and values of all heads."""
        return 2 * self.num_key_heads * self.key_dim + self.num_value_heads * self.value_dim

    def state_shapes(self, batch: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of the convolution's state and of the heads' matrices, in every layer."""
        matrices = (batch, self.num_value_heads, self.key_dim, self.value_dim)
        return (batch, self.channels, self.kernel), matrices

    def state_bytes(self, dtype_bytes: int) -> int:
        """Bytes of one stream's state over all layers; the matrices are float32 in any dtype."""
        convolution, matrices = (prod(shape) for shape in self.state_shapes(1))
        return len(self.layers) * (convolution * dtype_bytes + matrices * 4)

    def parameters(self, hidden: int) -> int:
        """Weights every token passes in one layer besides the MLP: query, key, value, gate and
        output, a decay and a rate for each value head."""
        gate = self.num_value_heads * self.value_dim
        return hidden * (self.channels + 2 * gate + 2 * self.num_value_heads)

    def flops(self, new_tokens: int) -> int:
        """FLOPs of all layers' convolutions and delta rules, whose last chunk is padded. The
        triangular solution in each chunk is left out, as torch's counter does: a ninth more of the
        rule at a chunk of 64 and heads of 128."""
        chunks = -(-new_tokens // self.chunk)
        inside = self.chunk**2 * (2 * self.key_dim + self.value_dim)
        through = 3 * self.chunk * self.key_dim * self.value_dim
        rule = chunks * self.num_value_heads * (inside + through)
        return 2 * len(self.layers) * (rule + new_tokens * self.channels * self.kernel)


@dataclass(frozen=True)
class DecoderSpec:
    """The dimensions of a decoder.

    Attributes:
        num_layers: layers of full attention, which hold KV; memories know no others.
        intermediate: width of the MLPs; of experts, of those that a token passes.
        dense_layers: so many layers at the beginning have an MLP of `dense_intermediate` instead.
        vocab: only the LM head depends on it: asking pays for that, pushing does not.
        gated: queries are projected together with a gate of the attention's output.
        recurrent: the other layers of a hybrid decoder.
    """

    num_layers: int
    hidden: int
    intermediate: int
    num_query_heads: int
    num_kv_heads: int
    head_dim: int
    vocab: int
    gated: bool = False
    recurrent: RecurrentSpec | None = None
    dense_layers: int = 0
    dense_intermediate: int = 0

    @property
    def attention_layers(self) -> tuple[int, ...]:
        """Numbers in the decoder of the layers of full attention."""
        others = self.recurrent.layers if self.recurrent else ()
        return tuple(n for n in range(self.num_layers + len(others)) if n not in others)

    @property
    def linear_parameters(self) -> int:
        """Weights every token passes, over all layers: q, k, v, o and three MLP matrices, and those
        of recurrent layers."""
        heads = (2 + self.gated) * self.num_query_heads + 2 * self.num_kv_heads
        weights = self.num_layers * self.hidden * heads * self.head_dim
        layers = self.num_layers
        if self.recurrent is not None:
            layers += len(self.recurrent.layers)
            weights += len(self.recurrent.layers) * self.recurrent.parameters(self.hidden)
        widths = (layers - self.dense_layers) * self.intermediate
        widths += self.dense_layers * self.dense_intermediate
        return weights + 3 * self.hidden * widths

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
    extra_products: int | Fraction = 0,
) -> int:
    """FLOPs of one decoder step, without the LM head.

    `context_tokens` are the slots carried into the step: one number, or one for each layer.
    `extra_products` of the size of QK^T are taken beside attention's own two: none, or one
    and a bit for a fused kernel that computes QK^T again to get the mass, see
    `attention.backend.Backend`.
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
    recurrent = spec.recurrent.flops(new_tokens) if spec.recurrent else 0
    return int(batch * (2 * spec.linear_parameters * new_tokens + attention + recurrent))


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

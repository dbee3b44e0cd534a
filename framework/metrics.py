"""How close a memory comes to full attention: functions of tensors, without state.

Sets of tokens are boolean masks [..., tokens] over the stream, mass is [..., tokens]; leading
dimensions (layers, batch, heads) broadcast, and results have their shape, in float64. Equation
numbers are those of the StateKV paper's appendix. `historical` marks the tokens from before the
current frame: with it, what a frame gives to itself no longer counts. Where then nothing is left
to measure (0/0) the result is nan, "undefined": average with `nanmean`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def answer_agreement(
    token_ids: Tensor | Sequence[int], reference_ids: Tensor | Sequence[int]
) -> float:
    """Share of places with equal tokens, over the longer answer; 1.0 if both are empty."""
    ours, theirs = torch.as_tensor(token_ids).cpu(), torch.as_tensor(reference_ids).cpu()
    if ours.ndim != 1 or theirs.ndim != 1:
        raise ValueError(
            f"answers are [tokens], not {list(ours.shape)} and {list(theirs.shape)}: "
            "compare the rows of a batch one by one"
        )
    shorter, longer = sorted((len(ours), len(theirs)))
    equal = ours[:shorter] == theirs[:shorter]
    return int(equal.sum()) / longer if longer else 1.0


def kl_to_full(logits: Tensor, full_logits: Tensor) -> Tensor:
    """KL(full attention || method) in nats of the next-token distribution; [..., vocab] to [...].

    A token that full attention excludes (logit -inf) adds nothing; one that only the method
    excludes makes the result infinite.
    """
    _check_same_shape(logits, full_logits, "logits and full_logits")
    log_full = full_logits.double().log_softmax(-1)
    difference = log_full - logits.double().log_softmax(-1)
    terms = torch.where(log_full.isneginf(), 0.0, log_full.exp() * difference)
    return terms.sum(-1).clamp_min(0.0)


def relative_error(keys: Tensor, full_keys: Tensor) -> Tensor:
    """Frobenius norm of (keys - full_keys) over that of full_keys, of one layer: a scalar.

    Any shape, usually [batch, kv_heads, tokens, head_dim]; serves values as well. Zero against
    zero is 0.
    """
    _check_same_shape(keys, full_keys, "keys and full_keys")
    full = full_keys.double()
    error, norm = (keys.double() - full).norm(), full.norm()
    return torch.where(error == 0, error, error / norm)


def captured_mass(mass: Tensor, kept: Tensor, *, historical: Tensor | None = None) -> Tensor:
    """Share of the attention mass that falls on kept tokens, eq. (9); the paper's is historical.

    mass: [..., tokens] that a frame's queries give to each token. kept: bool [..., tokens].
    """
    everything = torch.ones_like(kept)
    _check_not_empty(everything, "the stream")
    return _share(kept, everything, historical, mass)


def recall(oracle: Tensor, pool: Tensor, *, historical: Tensor | None = None) -> Tensor:
    """Share of the oracle's tokens that are in the pool, eq. (11).

    oracle: the best tokens up to and with the current frame; pool: the ones a memory could still
    choose from, its state after the frame before joined with the current frame, eq. (10).
    """
    _check_not_empty(oracle, "oracle")
    return _share(pool, oracle, historical)


def weighted_recall(
    mass: Tensor, oracle: Tensor, pool: Tensor, *, historical: Tensor | None = None
) -> Tensor:
    """As `recall`, with each token counted by the mass the current frame gives it, eq. (12)."""
    _check_not_empty(oracle, "oracle")
    return _share(pool, oracle, historical, mass)


def retention(previous: Tensor, current: Tensor, *, historical: Tensor | None = None) -> Tensor:
    """Share of the previous frame's set that is still in the current one, eq. (13)."""
    _check_not_empty(previous, "previous")
    return _share(current, previous, historical)


def churn(previous: Tensor, current: Tensor, *, historical: Tensor | None = None) -> Tensor:
    """Share of the current set that was not in the previous one, eq. (13).

    1 - retention where both sets have one size. Both masks span the stream as it is now.
    """
    _check_not_empty(current, "current")
    return 1.0 - _share(previous, current, historical)


def membership(index: Tensor, tokens: int, *, valid: Tensor | None = None) -> Tensor:
    """The mask [..., tokens] of a state: which tokens of the stream its slots hold.

    index: int64 [..., slots], as `Slots.index`; valid: bool [..., slots], as `Slots.valid`.
    """
    inside = (index >= 0) & (index < tokens)
    present = torch.ones_like(inside) if valid is None else valid
    if not bool((inside | ~present).all()):
        raise ValueError(f"index leaves the stream of {tokens} tokens: pass all tokens seen so far")
    counts = torch.zeros(*index.shape[:-1], tokens, dtype=torch.int64, device=index.device)
    return counts.scatter_add_(-1, index * present, present.long()) > 0


def _share(
    part: Tensor, whole: Tensor, historical: Tensor | None, mass: Tensor | None = None
) -> Tensor:
    """Sum over part & whole of the mass (or of ones), over the sum of it over whole."""
    if historical is not None:
        _check_not_empty(historical.flatten(), "historical", "start at the second frame")
    everything = torch.ones_like(whole) if historical is None else historical
    weights = torch.ones_like(whole, dtype=torch.float64) if mass is None else mass.double()
    _check_masks(part, whole, everything, weights)
    part, whole, everything, weights = torch.broadcast_tensors(part, whole, everything, weights)
    whole = whole & everything
    captured = torch.where(part & whole, weights, 0.0).sum(-1)
    return captured / torch.where(whole, weights, 0.0).sum(-1)


def _check_masks(*tensors: Tensor) -> None:
    shapes = ", ".join(dict.fromkeys(str(list(tensor.shape)) for tensor in tensors))
    if any(tensor.dtype != torch.bool for tensor in tensors[:-1]):
        raise ValueError("sets of tokens are bool masks over the stream: see `membership`")
    if any(not tensor.ndim for tensor in tensors) or len({t.shape[-1] for t in tensors}) > 1:
        raise ValueError(f"shapes {shapes} disagree on the tokens of the stream: pad to one length")
    try:
        torch.broadcast_shapes(*(tensor.shape for tensor in tensors))
    except RuntimeError as error:
        raise ValueError(f"leading dimensions of shapes {shapes} do not broadcast") from error


def _check_same_shape(ours: Tensor, full: Tensor, names: str) -> None:
    if ours.shape != full.shape or not ours.numel():
        raise ValueError(
            f"{names} have shapes {list(ours.shape)} and {list(full.shape)}: "
            "both must be equal and not empty"
        )


def _check_not_empty(mask: Tensor, name: str, remedy: str = "leave such rows out") -> None:
    if not mask.numel() or not bool(mask.any(-1).all()):
        raise ValueError(f"{name} has no tokens in some row, so a share of it is 0/0: {remedy}")

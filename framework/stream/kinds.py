"""What users hand in is of the kind that is asked for; said at once, with what to write instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from ..archives.codec import Archive
from ..archives.reader import Reader
from ..memory import CrossFrameMemory
from ..model import VideoModel
from ..slots import Slots


def require_kinds(model: object, memory: object, archive: object, reader: object) -> None:
    """Refuse what is no adapter, memory, archive or reader; the ValueError names what was given.

    A class where an instance of it is wanted is told apart: it has all the methods, and would fail
    only when one is called.
    """
    if not isinstance(model, VideoModel):
        raise ValueError(
            f"a session takes a VideoModel, got {_shown(model)}: load one by "
            "crossframe.models.load_model(name), or wrap a loaded transformers model by its "
            "family's adapter, such as InternVL3(model, processor)"
        )
    for what, value, kind, such in (
        ("memory", memory, CrossFrameMemory, "StateKVMemory(capacity=4096)"),
        ("archive", archive, Archive, "Int8Archive()"),
        ("reader", reader, Reader, "ReadCarried()"),
    ):
        if isinstance(value, kind) or (value is None and what != "memory"):
            continue
        remedy = f"make an instance, such as {such}"
        if isinstance(value, type) and issubclass(value, kind):
            remedy = f"make an instance of it, {value.__name__}(...)"
        raise ValueError(
            f"{what} must be an instance of {kind.__name__}, got {_shown(value)}: {remedy}"
        )


def updated(memory: CrossFrameMemory, layers: Sequence[Slots]) -> Sequence[Slots]:
    """What the memory carries on of [carried ; new] of all layers.

    Raises:
        ValueError: for a mass that was read but not asked for, for anything but `Slots` in return,
            and for what is no tensor in `stats` or `state`, or in `stats` of another shape.
    """
    name = type(memory).__name__
    try:
        kept = memory.update_layers(layers)
    except (AttributeError, TypeError, RuntimeError) as error:
        _require_tensors(name, layers)
        if "NoneType" in str(error) and layers[0].mass is None:
            raise ValueError(
                f"{name} failed with {error}. Did it read slots.mass, which is None because it is "
                "not asked for? Then say so in the class: needs_mass = True"
            ) from error
        raise
    for layer, slots in enumerate(kept):
        if not isinstance(slots, Slots):
            raise ValueError(
                f"{name} returned {_shown(slots)} for layer {layer}, not Slots: return what "
                "slots.keep(...) gives, or the slots themselves"
            )
    _require_tensors(name, kept)
    return kept


def require_tensors(owner: str, where: str, values: Mapping[str, object]) -> None:
    """Refuse what cannot be saved, forked and counted; the ValueError names it."""
    for name, value in values.items():
        if not isinstance(value, Tensor):
            raise ValueError(
                f"{owner} put {_shown(value)} into {where}[{name!r}]: only tensors can be saved, "
                "forked and counted in bytes; make it one, by torch.tensor(...)"
            )


def _require_tensors(owner: str, layers: Sequence[Slots]) -> None:
    for slots in layers:
        require_tensors(owner, "slots.stats", slots.stats)
        require_tensors(owner, "slots.state", slots.state)
        shape = tuple(slots.index.shape)
        for stat, value in slots.stats.items():
            if value.shape != shape:
                raise ValueError(
                    f"{owner} put shape {tuple(value.shape)} into slots.stats[{stat!r}], not "
                    f"[batch, kv_heads, slots] = {shape}: a number for every slot; what is not of "
                    "a slot belongs into slots.state"
                )


def _shown(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if value is None or isinstance(value, str):
        return f"{value!r:.60}"
    return f"a {type(value).__name__}"

"""What can be changed in a saved session: fields of its header, and its tensors."""

import copy
from collections.abc import Callable
from random import Random
from typing import Any

import torch
from torch import Tensor

from .session_files import Sound

Tensors = dict[str, Tensor]
# Changes a header or tensors in place and says how; None: it finds nothing to change.
Change = Callable[[Random, dict[str, Any], Tensors], str | None]
STRANGE: tuple[Any, ...] = (None, True, -1, 0.5, 2**70, "x", "", [], {}, [1], {"a": 1}, 10**30)
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


# Edits of a header


def in_rules(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str:
    name = rng.choice(("memory", "archive", "reader"))
    classes = (
        "subprocess:Popen", "os:system", "no_such:Class", "crossframe.framework:VideoSession",
        "crossframe.experiments.command.cli:main", "crossframe.methods:nothing", "", ":", "a:b:c",
        "crossframe.framework:CrossFrameMemory", "crossframe.methods:TOVAMemory.score",
    )  # fmt: skip
    match rng.randrange(4):
        case 0:
            facts[name] = rng.choice((*STRANGE, {"class": "x"}, {"class": 1, "settings": {}}))
        case 1:
            facts[name]["class"] = rng.choice((*classes, *STRANGE))
        case 2:
            facts[name]["settings"] = rng.choice((None, "x", [], 3, {"x": 1}, {"self": 1}))
            if facts[name]["settings"] is None and name != "memory":
                facts[name]["settings"] = {"no such": 1}
        case _:
            inner = {"class": rng.choice(classes), "settings": {}}
            wrapped = {"class": "crossframe.framework:WrappedMemory", "settings": {"inner": inner}}
            facts["memory"] = wrapped
    return f"{name} = {facts[name]!r}"


def deep(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str:
    memory = facts["memory"]
    for _ in range(rng.choice((200, 300))):
        memory = {"class": "crossframe.framework:WrappedMemory", "settings": {"inner": memory}}
    facts["memory"] = {"class": "crossframe.methods:StateKVMemory", "settings": {"inner": memory}}
    return "memories nested deep"


def in_facts(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str:
    """Any field, or a field inside it: what comes of it may be a session that might have been."""
    owner, name = facts, rng.choice([name for name in facts if name not in ("format", "model")])
    if isinstance(facts[name], dict) and rng.random() < 0.7:
        owner, name = facts[name], rng.choice(list(facts[name]))
    if rng.random() < 0.2:
        del owner[name]
        return f"no {name}"
    owner[name] = rng.choice((*STRANGE, [{}, {}], ["x"], [0.0] * 5, [1e999]))
    return f"{name} = {owner[name]!r}"


def in_format(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str:
    facts["format"] = rng.choice((0, 3, "2", None, True, 1.5, [2]))
    return f"format = {facts['format']!r}"


def in_model(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str:
    name = rng.choice(list(facts["model"]))
    if rng.random() < 0.3:
        facts["model"] = rng.choice(STRANGE)
    else:
        facts["model"][name] = rng.choice((*STRANGE, facts["model"][name] + 1))
    return f"model = {facts['model']!r}"


# Edits of tensors


def needed(rng: Random, tensors: Tensors) -> str | None:
    """A tensor that no session of its kind can do without."""
    loose = (".stats.", ".state.", "stat:", "admission.", "previous.", ".valid", ".rotated")
    names = [name for name in tensors if not any(part in name for part in loose)]
    return rng.choice(names) if names else None


def dropped(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str | None:
    name = needed(rng, tensors)
    if name is not None:
        del tensors[name]
    return name and f"no {name}"


def renamed(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str | None:
    name = needed(rng, tensors)
    if name is None:
        return None
    new = rng.choice((name + "x", "x" + name, "layer.9.keys", "archive.7.keys", "", "weights"))
    tensors[new] = tensors.pop(name)
    return f"{name} as {new!r}"


def swapped(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str | None:
    """Two tensors of different shapes or dtypes."""
    one, other = needed(rng, tensors), needed(rng, tensors)
    if one is None or other is None:
        return None
    form = [(tensors[name].shape, tensors[name].dtype) for name in (one, other)]
    tensors[one], tensors[other] = tensors[other], tensors[one]
    return None if form[0] == form[1] else f"{one} and {other} swapped"


def retyped(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str | None:
    name = needed(rng, tensors)
    if name is None or name.endswith("positions"):  # which may be of other types
        return None
    value = tensors[name]
    whole = not value.is_floating_point() and value.dtype != torch.bool
    types = FLOATS if whole else (*FLOATS, torch.int64, torch.bool)
    tensors[name] = value.to(rng.choice([dtype for dtype in types if dtype != value.dtype]))
    return f"{name} as {tensors[name].dtype}"


def reshaped(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str | None:
    name = needed(rng, tensors)
    if name is None or tensors[name].dim() == 0:
        return None
    value = tensors[name]
    dim = rng.randrange(value.dim())
    made = rng.choice(
        (
            lambda: value.flatten(),
            lambda: value[None],
            lambda: value.narrow(dim, 0, value.shape[dim] - 1),
            lambda: torch.cat([value, value], dim),
            lambda: value.transpose(0, -1),
            lambda: value.narrow(dim, 0, 0),
        )
    )().contiguous()
    tensors[name] = made
    return None if made.shape == value.shape else f"{name} as {list(made.shape)}"


def fewer_tokens(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str | None:
    """An archive that lost a token in one layer, or its last ones in all."""
    layers = [name for name in tensors if name.startswith("archive.")]
    if not layers:
        return None
    name = rng.choice(layers)
    for part in [name] if rng.random() < 0.5 else layers:
        tensors[part] = tensors[part].narrow(2, 0, tensors[part].shape[2] - 1).contiguous()
    return f"{name} cut"


# No session at all, also under a checksum that was made anew.
IMPOSSIBLE: tuple[Change, ...] = (
    in_rules, deep, in_format, in_model,
    dropped, renamed, swapped, retyped, reshaped, fewer_tokens,
)  # fmt: skip


def nudged(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str | None:
    """A number of any tensor, to another that it might have been: only a checksum sees it."""
    names = [name for name, value in tensors.items() if value.numel()]
    if not names:
        return None
    name = rng.choice(names)
    tensors[name] = tensors[name].clone()
    data = tensors[name].view(-1).view(torch.uint8)
    data[rng.randrange(len(data))] ^= 1
    return f"{name} nudged"


def changed(rng: Random, kind: Sound, changes: tuple[Change, ...]) -> tuple[str, Any, Tensors]:
    """Header and tensors after one change that found something."""
    while True:
        facts, tensors = copy.deepcopy(kind.facts), dict(kind.tensors)
        what = rng.choice(changes)(rng, facts, tensors)
        if what is not None:
            return what, facts, tensors

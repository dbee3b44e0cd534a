"""What can be changed in a saved session: fields of its header, and its tensors."""

import copy
import json
import re
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


def in_settings(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str:
    settings = facts["settings"]
    name = rng.choice(list(settings))
    if rng.random() < 0.2:
        facts["settings"] = rng.choice(({}, [], None, {**settings, "x": 1}, 3))
    elif rng.random() < 0.3:
        del settings[name]
    else:
        wrong = [value for value in STRANGE if not (type(value) is int and 0 < value < 2**62)]
        settings[name] = rng.choice(wrong)
    return f"settings = {facts['settings']!r}"


def in_cursor(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str | None:
    cursor = facts["cursor"]
    name = rng.choice(list(cursor))
    match rng.randrange(4):
        case 0:
            facts["cursor"] = rng.choice(STRANGE)
        case 1:
            cursor[name] = rng.choice(STRANGE)
        case 2:
            if cursor["tokens"] and "column.frame" not in tensors:
                return None  # nothing else tells how many there were
            cursor["frames"] += rng.choice((-2, -1, 1, 7))
        case _:
            facts["largest_frame"] = rng.choice((*STRANGE, cursor["tokens"] + 1))
    return f"cursor = {facts['cursor']!r}, largest = {facts['largest_frame']!r}"


def in_frames(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str | None:
    name = rng.choice(("pending", "layers", "previous"))
    before = facts[name]
    options = list(STRANGE)
    if name == "layers" and before:
        options += [before[::-1], before[:-1], [*before, before[0]], [{}] * len(before)]
    if name == "pending":
        options += [["x"], [[]], [True], [0.0] * 5, [1e999]]
    facts[name] = rng.choice(options)
    return None if facts[name] == before else f"{name} = {facts[name]!r}"


def in_promises(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str | None:
    """Settings under which the memory could not have left what is there."""
    match rng.randrange(3):
        case 0:
            smaller = re.sub(r'"capacity": [46]', '"capacity": 1', json.dumps(facts["memory"]))
            smaller = smaller.replace('"frames": 2', '"frames": 1').replace(
                '"tokens": 2', '"tokens": 0'
            )
            before, facts["memory"] = facts["memory"], json.loads(smaller)
            return None if facts["memory"] == before else "a memory of less"
        case 1:
            facts["settings"]["max_tokens"] = 4
            return "max_tokens = 4" if facts["cursor"]["tokens"] > 4 else None
        case _:
            if facts["previous"] is None:
                return None
            facts["previous"] = None
            for name in [name for name in tensors if name.startswith("previous.")]:
                del tensors[name]
            return "no last frame"


def out_of_order(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str | None:
    """An archive that is no stream in order, be the token carried or not."""
    name = rng.choice(("column.index", "column.frame"))
    if name not in tensors:
        return None
    place, value = rng.randrange(1, tensors[name].shape[-1]), tensors[name].clone()
    value[0, place] = value[0, place - 1] if name == "column.index" else 9
    tensors[name] = value
    return f"{name} changed at {place}"


def in_fields(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str:
    name = rng.choice(list(facts))
    if rng.random() < 0.5:
        del facts[name]
        return f"no {name}"
    facts[name + "s"] = 1
    return f"{name}s = 1"


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


def dropped_places(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str | None:
    names = [name for name in tensors if name.endswith((".rotated", ".valid"))]
    if not names:
        return None
    name = rng.choice(names)
    del tensors[name]
    return f"no {name}"


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


def not_finite(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str | None:
    own = (".stats.", ".state.", "stat:", "admission.")
    names = [
        name
        for name, value in tensors.items()
        if value.dtype in FLOATS and value.numel() and not any(part in name for part in own)
    ]
    if not names:
        return None
    name = rng.choice(names)
    tensors[name] = tensors[name].clone()
    wrong = rng.choice((float("nan"), float("inf"), float("-inf")))
    tensors[name].view(-1)[rng.randrange(tensors[name].numel())] = wrong
    return f"{wrong} in {name}"


def renumbered(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str | None:
    """Token or frame numbers that no stream has, or that the archive does not have."""
    ends = (".index", ".frame")
    names = [name for name, value in tensors.items() if name.endswith(ends) and value.numel() > 1]
    if not names:
        return None
    name = rng.choice(names)
    value = tensors[name]
    made = rng.choice(
        (
            lambda: value.flip(-1),
            lambda: value + 10**6,
            lambda: value - 10**6,
            lambda: value * 0 - 2,
            lambda: value * 2**40,
        )
    )().contiguous()
    tensors[name] = made
    return None if torch.equal(made, value) else f"{name} renumbered"


def disagreeing(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str | None:
    """What a carried slot says of its token, other than the archive says it."""
    ends = (".visual", ".rotated", ".frame")
    names = [name for name in tensors if name.startswith("layer.") and name.endswith(ends)]
    if not names or not any(name.startswith("column.") for name in tensors):
        return None
    name = rng.choice(names)
    value = tensors[name].clone().view(-1)
    place = rng.randrange(len(value))
    value[place] = (
        ~value[place] if value.dtype == torch.bool else value[place] + rng.choice((-1, 1))
    )
    tensors[name] = value.view(tensors[name].shape)
    return f"{name} changed at {place}"


def fewer_tokens(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str | None:
    """An archive that lost a token in one layer, or its last ones in all."""
    layers = [name for name in tensors if name.startswith("archive.")]
    if not layers:
        return None
    name = rng.choice(layers)
    for part in [name] if rng.random() < 0.5 else layers:
        tensors[part] = tensors[part].narrow(2, 0, tensors[part].shape[2] - 1).contiguous()
    return f"{name} cut"


def more_layers(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str | None:
    names = [name for name in tensors if name.startswith(("layer.1.", "archive.1."))]
    if not names:
        return None
    for name in names:
        tensors[name.replace(".1.", ".2.", 1)] = tensors[name].clone()
    if rng.random() < 0.5:
        facts["layers"].append({"layer": 2, "num_layers": 2})
    return "a third layer"


HEADER: tuple[Change, ...] = (
    in_rules, deep, in_settings, in_cursor, in_promises, in_frames, in_fields, in_format, in_model,
)  # fmt: skip
TENSORS: tuple[Change, ...] = (
    dropped, dropped_places, renamed, swapped, retyped, reshaped, not_finite, renumbered,
    disagreeing, out_of_order, fewer_tokens, more_layers,
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


def capacity(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str | None:
    """Another setting of the memory, which it might have had."""
    text = json.dumps(facts["memory"])
    made = json.loads(text.replace('"capacity": 6', '"capacity": 7').replace("0.5", "0.25"))
    facts["memory"], before = made, facts["memory"]
    return None if made == before else "another setting"


def changed(rng: Random, kind: Sound, changes: tuple[Change, ...]) -> tuple[str, Any, Tensors]:
    """Header and tensors after one change that found something."""
    while True:
        facts, tensors = copy.deepcopy(kind.facts), dict(kind.tensors)
        what = rng.choice(changes)(rng, facts, tensors)
        if what is not None:
            return what, facts, tensors

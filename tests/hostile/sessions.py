"""Session files that were damaged, edited, or forged under a checksum of their own."""

import copy
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor

from crossframe.framework import VideoSession

from .cases import Case, Family
from .session_files import KINDS, Sound, sealed, sound, with_old_seal

Tensors = dict[str, Tensor]
# Changes a header or tensors in place and says how; None: it finds nothing to change.
Change = Callable[[Random, dict[str, Any], Tensors], str | None]
STRANGE: tuple[Any, ...] = (None, True, -1, 0.5, 2**70, "x", "", [], {}, [1], {"a": 1}, 10**30)
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


# Damage


def damaged(rng: Random, content: bytes) -> tuple[str, bytes]:
    """Bytes as a bad disk, a broken copy or an editor leaves them."""
    data = bytearray(content)
    head = 8 + int.from_bytes(content[:8], "little")
    # Half of all damage in the header, which is smaller than the tensors.
    place = rng.randrange(head) if rng.random() < 0.5 else rng.randrange(len(data))
    count = min(rng.choice((1, 1, 2, 8, 64)), len(data) - place)
    match rng.randrange(8):
        case 0 | 1 | 2:
            for _ in range(count):
                data[rng.randrange(place, place + count)] ^= 1 << rng.randrange(8)
            return f"bits flipped at {place}", bytes(data)
        case 3:
            return f"cut at {place}", bytes(data[:place])
        case 4:
            data[place : place + count] = bytes(count)
            return f"{count} zeros at {place}", bytes(data)
        case 5:
            del data[place : place + count]
            return f"{count} bytes lost at {place}", bytes(data)
        case 6:
            data[place:place] = rng.randbytes(count)
            return f"{count} bytes more at {place}", bytes(data)
        case _:
            other = rng.randrange(len(data) - count + 1)
            data[place : place + count] = data[other : other + count]
            return f"{count} bytes of {other} at {place}", bytes(data)


# Edits of a header


def in_rules(rng: Random, facts: dict[str, Any], tensors: Tensors) -> str:
    name = rng.choice(("memory", "archive", "reader"))
    classes = (
        "subprocess:Popen", "os:system", "no_such:Class", "crossframe.framework:VideoSession",
        "crossframe.experiments.cli:main", "crossframe.methods:nothing", "", ":", "a:b:c",
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
    in_rules, deep, in_settings, in_cursor, in_frames, in_fields, in_format, in_model,
)  # fmt: skip
TENSORS: tuple[Change, ...] = (
    dropped, dropped_places, renamed, swapped, retyped, reshaped, not_finite, renumbered,
    disagreeing, fewer_tokens, more_layers,
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


# Families


def loading(what: str, kind: Sound, content: bytes, folder: Path, *, sound: bool) -> Case:
    """Loading a file: as the untouched one, or (unless sound) refused by its name."""
    path = folder / "hit.session"
    path.write_bytes(content)

    def untouched() -> None:
        assert path.read_bytes() == content
        assert list(folder.iterdir()) == [path]

    act = partial(VideoSession.load, path, kind.model)
    names = () if sound else ("hit.session",)
    return Case(what, act, kind.require_same, names, untouched)


def draw_damaged(rng: Random, folder: Path) -> Case:
    kind = sound(rng.choice(KINDS))
    what, content = ("nothing", kind.content) if rng.random() < 0.1 else damaged(rng, kind.content)
    return loading(what, kind, content, folder, sound=what == "nothing")


def draw_edited(rng: Random, folder: Path) -> Case:
    """Under the checksum of before: whatever was edited is seen."""
    kind = sound(rng.choice(KINDS))
    if rng.random() < 0.1:
        content = with_old_seal(kind.content, kind.facts, kind.tensors)
        return loading("written again", kind, content, folder, sound=True)
    what, facts, tensors = changed(rng, kind, (*HEADER, *TENSORS, nudged, nudged, capacity))
    content = with_old_seal(kind.content, facts, tensors)
    case = loading(what, kind, content, folder, sound=False)
    return Case(case.what, case.act, None, case.names, case.untouched)


def draw_forged(rng: Random, folder: Path) -> Case:
    """Under a checksum made anew: seen by what a session must satisfy."""
    kind = sound(rng.choice(KINDS))
    match rng.randrange(20):
        case 0:
            content = sealed(kind.facts, kind.tensors)
            return loading("written again", kind, content, folder, sound=True)
        case 1:
            content = with_old_seal(kind.content, {**kind.facts, "format": 1}, kind.tensors)
            return loading("as format 1", kind, content, folder, sound=True)
        case 2:
            text = rng.choice(("", "null", "[]", "3", "{", "[" * 10**5, "{}", '"x"', "9" * 5000))
            content = sealed(text, kind.tensors)
            case = loading(f"header {text[:10]}", kind, content, folder, sound=False)
            return Case(case.what, case.act, None, case.names, case.untouched)
    what, facts, tensors = changed(rng, kind, (*HEADER, *TENSORS))
    case = loading(what, kind, sealed(facts, tensors), folder, sound=False)
    # Some strange values are no others: a "frames" of 0 before the first push, say.
    same = facts == kind.facts and tensors is kind.tensors
    return Case(case.what, case.act, case.right if same else None, case.names, case.untouched)


FAMILIES = (
    Family("damaged sessions", draw_damaged, 150),
    Family("edited sessions", draw_edited, 120),
    Family("forged sessions", draw_forged, 230),
)

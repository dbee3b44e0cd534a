"""Session files that were damaged, edited, or forged under a checksum of their own."""

from functools import partial
from pathlib import Path
from random import Random

from crossframe.framework import VideoSession

from .cases import Case, Family
from .session_changes import HEADER, TENSORS, capacity, changed, nudged
from .session_files import KINDS, Sound, sealed, sound, with_old_seal

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
    return Case(case.what, case.act, None, case.names, case.untouched)


FAMILIES = (
    Family("damaged sessions", draw_damaged, 150),
    Family("edited sessions", draw_edited, 120),
    Family("forged sessions", draw_forged, 230),
)

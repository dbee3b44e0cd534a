"""Whether a checkpoint's chat template ends, before it is rendered in this process."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from .faults import shortened
from .template_trial import SECONDS

WAIT = 60  # seconds: a busy machine, or one without limits on processor time
MOST = 2**20  # characters around one question
VIDEO = {"type": "video"}
TEXT = {"type": "text", "text": "What happens?"}
CHATS = (
    [{"role": "user", "content": [VIDEO, TEXT]}],
    [{"role": "user", "content": [TEXT]}],
    [{"role": "system", "content": [TEXT]}, {"role": "user", "content": [VIDEO, TEXT]}],
)


def require_ending(template: object, names: dict[str, Any], where: str | Path) -> None:
    """Refuse a chat template that loops or grows without bound around a question.

    It is tried on the chats of an adapter, in a process with bounded time and memory. What a
    template does to other texts is not known from that.

    Args:
        template: Jinja's; others are left to who reads them.
        names: the tokenizer's special tokens, by the names that templates use.
        where: the checkpoint, for the message.

    Raises:
        ValueError: naming the checkpoint and the template's beginning.
    """
    if not isinstance(template, str):
        return
    shown = tuple(sorted((name, token) for name, token in names.items() if isinstance(token, str)))
    if not _ends(template, shown):
        raise ValueError(
            f"the chat template of {where} does not end within {SECONDS} s, 1 GiB and {MOST} "
            f"characters ({shortened(template, 80)!r}): take the template of the released "
            "checkpoint"
        )


@cache
def _ends(template: str, names: tuple[tuple[str, str], ...]) -> bool:
    task = {"template": template, "chats": CHATS, "names": dict(names)}
    trial = Path(__file__).with_name("template_trial.py")
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(trial)],
            input=json.dumps(task),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=WAIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and int(done.stdout) <= MOST

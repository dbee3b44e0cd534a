"""Ctrl-C at hundreds of random moments of a real process: the model and the session stay right.

Left out of `make test`; run with `make soak`, which prints what the signals hit.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SIGNALS = 400
PROGRAM = """
import os, random, signal, sys, threading, time
import torch
from crossframe.framework import VideoSession
from crossframe.framework.testing.session_laws import require_same
from crossframe.methods import StateKVMemory
from crossframe.models import DecoderModel
from crossframe.models.tiny import tiny_qwen2

signals, seed = int(sys.argv[1]), int(sys.argv[2])
draw = random.Random(seed)
model = DecoderModel(tiny_qwen2(rope_factor=2.0))
question = torch.tensor([[7, 8, 9]])
armed = False


def interrupt(*_):
    if armed:
        raise KeyboardInterrupt


signal.signal(signal.SIGINT, interrupt)


def frame(session):
    ids = torch.Generator().manual_seed(session.cursor.frames)
    return model.frame(torch.randint(0, 300, (1, 5), generator=ids), session.cursor)


def stock():
    with torch.no_grad():
        return model.hf_model(input_ids=question).logits


def look():
    rotary = model.decoder.rotary_emb
    hooks = [len(m._forward_hooks) for m in model.hf_model.modules()]
    return model.config._attn_implementation, id(rotary), rotary.rope_type, hooks


calls = {
    "push": lambda session: session.push(frame(session)),
    "ask": lambda session: session.ask(question, max_new_tokens=2),
}
logits, hit = stock(), dict.fromkeys(calls, 0)
before = look()
session = VideoSession(model, StateKVMemory(7))
session.push(frame(session))
for call in calls.values():
    call(session.fork())
while sum(hit.values()) < signals:
    name = draw.choice(list(calls))
    start = time.perf_counter()
    calls[name](session.fork())
    delay = draw.uniform(0, time.perf_counter() - start)
    late = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
    try:
        armed = True
        late.start()
        calls[name](session)
        armed = False
    except KeyboardInterrupt:
        armed = False
        hit[name] += 1
    late.join()
    torch.set_grad_enabled(True)  # torch's own, which an interrupt of its no_grad may leave off
    assert look() == before, (name, look(), before)
    assert torch.equal(stock(), logits), name
    steady = VideoSession(model, StateKVMemory(7))
    while steady.cursor.frames < session.cursor.frames:
        steady.push(frame(steady))
    require_same(session, steady, question, name)
    assert session.archive.num_tokens == steady.archive.num_tokens
    if session.cursor.frames > 6:
        session = VideoSession(model, StateKVMemory(7))
        session.push(frame(session))
print(f"{signals} interrupts from seed {seed}: {hit}")
"""


@pytest.mark.soak
def test_hundreds_of_interrupts_at_random_moments(tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(3))
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(SIGNALS), str(seed)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    print(run.stdout)
    assert run.returncode == 0, f"seed {seed}: {run.stderr[-3000:]}"

"""The stock model and processor on a whole video at once, for streams to be compared with."""

from typing import Any

import torch
from torch import Tensor

from crossframe.framework import VideoSession
from crossframe.models import GLM4V, Qwen3VL, SmolVLM
from crossframe.models.hf import HFDecoder

from ..watched import Watched
from .streams import QUESTION, TOLERANCES, asked


def chat(processor: Any, question: str = QUESTION, system: str | None = None) -> str:
    """The prompt about one video, by the processor's own template."""
    content = [{"type": "video"}, {"type": "text", "text": question}]
    turns: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if system is not None:
        turns = [{"role": "system", "content": [{"type": "text", "text": system}]}, *turns]
    return processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)


def processed(
    model: Any,
    frames: Tensor,
    question: str = QUESTION,
    *,
    fps: float | None = None,
    system: str | None = None,
    text: str | None = None,
) -> dict[str, Tensor]:
    """What the installed processor makes of the whole video and the question.

    Args:
        text: the prompt, instead of that of one question.
        fps: for processors that ask for times: every frame is taken, that many a second.
    """
    processor, numbers, times = model.prompt.processor, list(range(len(frames))), dict[str, Any]()
    if len(frames) == 1 and isinstance(
        model, Qwen3VL | GLM4V
    ):  # refuses one alone, so it goes in twice
        frames, numbers = frames.expand(2, -1, -1, -1), [0, 0]
    if fps is not None:
        told = {"fps": fps, "frames_indices": numbers, "total_num_frames": len(frames)}
        times = {"video_metadata": [told], "do_sample_frames": False}
    videos: list[Any] = [frames.permute(0, 3, 1, 2)]
    if isinstance(model, SmolVLM):  # whose processor takes a batch of lists in older versions
        videos = [videos]
    text = chat(processor, question, system) if text is None else text
    inputs = processor(text=text, videos=videos, return_tensors="pt", **times)
    return {
        name: value.to(model.dtype) if name.startswith("pixel_values") else value
        for name, value in inputs.items()
        if isinstance(value, Tensor)
    }


def stock_logits(model: Any, **inputs: Tensor) -> Tensor:
    assert model.config.get_text_config()._attn_implementation == "sdpa"
    with torch.no_grad():
        return model(**inputs).logits


def stock_positions(model: HFDecoder, inputs: dict[str, Tensor]) -> Tensor:
    """[axes, 1, tokens] of the whole prompt."""
    if model.position_axes == 1:
        return torch.arange(inputs["input_ids"].shape[1])[None, None]
    names = {"input_ids", "mm_token_type_ids", "second_per_grid_ts"}
    names |= {"video_grid_thw", "image_grid_thw"}
    known = {name: value for name, value in inputs.items() if name in names}
    return model.hf_model.model.get_rope_index(**known)[0]


def greedy(model: Any, new: int, **inputs: Tensor) -> list[int]:
    options = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False}
    return model.generate(**inputs, **options)[0, inputs["input_ids"].shape[1] :].tolist()


def worst(got: Tensor, expected: Tensor) -> float:
    assert got.shape == expected.shape
    return float((got - expected).abs().max())


def require_equal(
    session: VideoSession, model: Watched, inputs: dict[str, Tensor], new: int = 20
) -> None:
    """Logits over the question, ids and positions of the whole prompt, the answer."""
    got, ids = asked(session), inputs["input_ids"][0]
    expected = stock_logits(model.hf_model, **inputs)[:, -got.shape[1] :]
    assert worst(got, expected) <= TOLERANCES[model.dtype]
    assert model.passed_ids().tolist() == ids.tolist()
    assert torch.equal(model.passed_positions(), stock_positions(model, inputs))
    pictures = ids == model.picture_id
    pictures[-got.shape[1] :] = False  # there the token may stand for something else
    assert torch.equal(model.passed_visual(), pictures)
    answer = session.ask(QUESTION, max_new_tokens=new, min_new_tokens=new)
    assert answer.token_ids.tolist() == greedy(model.hf_model, new, **inputs)
    assert worst(answer.first_logits, expected[0, -1]) <= TOLERANCES[model.dtype]


def decoded_alike(session: VideoSession, inputs: dict[str, Tensor], options: Any) -> list[int]:
    """The answer's ids, once the logits of every new token are found to be the stock model's."""
    model: Any = session.model
    stock = model.hf_model.generate(
        **inputs, **options, do_sample=False, output_logits=True, return_dict_in_generate=True
    )
    seen: list[Tensor] = []
    handle = model.hf_model.lm_head.register_forward_hook(
        lambda module, args, output: seen.append(output[0, -1])
    )
    try:
        answer = session.ask(QUESTION, **options)
    finally:
        handle.remove()
    for got, expected in zip(seen, stock.logits, strict=True):  # which `generate` rounds
        assert worst(got.float(), expected[0]) <= 1e-5
    return answer.token_ids.tolist()

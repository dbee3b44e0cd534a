"""StreamingBench's texts, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence

ROLE = "You are an advanced video question-answering AI assistant. You have been provided with "
LETTER_ONLY = "Respond with only the letter (A, B, C, or D) of the correct option."
# Stands once before everything that sequential questions are told.
TOLD = (
    "Here are the contextual information related to the video. Please answer the questions based "
    "on the contextual information: "
)


def single(question: str, options: Sequence[str]) -> str:
    """Real-time, omni-source and contextual questions."""
    return (
        f"{ROLE}some frames from the video and a multiple-choice question related to the video. "
        "Your task is to carefully analyze the video and provide the best answer to question, "
        f"choosing from the four options provided. {LETTER_ONLY}\n\n{_asked(question, options)}"
    )


def sequential(question: str, options: Sequence[str], context: str) -> str:
    """Sequential questions; `context` is "" for the first of a video."""
    return (
        f"{ROLE}a video and a multiple-choice question related to the video. Your task is to "
        "carefully analyze the video and the provided context to answer the question, choosing "
        f"from the four options provided. {LETTER_ONLY}\n\n{context}\n\n"
        "Here is the question. Answer it and don't confuse it with the previous conversation.\n"
        f"{_asked(question, options)}"
    )


def told(stamp: str, question: str, options: Sequence[str], answer: str) -> str:
    """One earlier question with its right answer."""
    return (
        f"At timestamp {stamp}, the following question and answer occurred: Question: {question}; "
        f"Options: {', '.join(options)}; Answer: {answer}; "
    )


def _asked(question: str, options: Sequence[str]) -> str:
    listed = "\n".join(options)
    return f"Question: {question}\n\nOptions:\n{listed}\n\nThe best option is:"

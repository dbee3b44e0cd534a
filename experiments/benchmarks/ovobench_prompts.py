"""OVO-Bench's texts, byte for byte: spelling, curly quotes and blanks at line ends are its own."""

from __future__ import annotations

from collections.abc import Sequence

from .choices import lettered

ALONE = "Do not include any additional text or explanation in your response.\n"


def choice(question: str, options: Sequence[str]) -> str:
    """Backward and real-time: choose a letter."""
    listed = "; ".join(f"{letter}. {text}" for letter, text in lettered(options).items())
    return (
        f"\nQuestion: {question}\n"
        f"Options:\n{listed};\n\n"
        "Respond only with the letter corresponding to your chosen option (e.g., A, B, C). \n"
        f"{ALONE}"
    )


def count(activity: str) -> str:
    """REC: how often was it done so far?"""
    return (
        "\nYou're watching a video in which people may perform a certain type of action "
        "repetively. \n"
        "The person performing this kind of action are referred to as 'they' in the following "
        "statement.\n"
        "You're task is to count how many times have different people in the video perform this "
        "kind of action in total.\n"
        "One complete motion counts as one. \n"
        f"Now, answer the following question: How many times did they {activity}?\n"
        "Provide your answer as a single number (e.g., 0, 1, 2, 3…) indicating the total count.\n"
        f"{ALONE}"
    )


def step(now: str) -> str:
    """SSR: is this step of the tutorial going on?"""
    return (
        "\nYou're watching a tutorial video which contain a sequential of steps. \n"
        "The following is one step from the whole procedures: \n"
        f"{now}\n"
        "Your task is to determine if the man or woman in the video is currently performing this "
        "step.\n"
        "Answer only with “Yes” or “No”.\n"
        f"{ALONE}"
    )


def enough(question: str) -> str:
    """CRR: has enough been seen to answer the question?"""
    return (
        "\nYou're responsible of answering questions based on the video content. \n"
        "The following question are relevant to the latest frames, i.e. the end of the video.\n"
        f"{question}\n"
        "Decide whether existing visual content, especially latest frames, i.e. frames that near "
        "the end of the video, provide enough information for answering the question.\n"
        "Answer only with “Yes” or “No”.\n"
        f"{ALONE}"
    )

"""Numbers in words, for SmolVLM's processor where the package num2words is not installed."""

from typing import Any

from transformers.models.smolvlm import processing_smolvlm

SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen"),
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def spelled(number: int) -> str:
    """Of 0 to 999, as num2words has them."""
    if number < 20:
        return SMALL[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return TENS[tens - 2] + (f"-{SMALL[ones]}" if ones else "")
    hundreds, rest = divmod(number, 100)
    return f"{SMALL[hundreds]} hundred" + (f" and {spelled(rest)}" if rest else "")


def spell_numbers() -> None:
    """Let the processor have words, its own where it can."""
    module: Any = processing_smolvlm
    if module.num2words is None:
        module.num2words = spelled

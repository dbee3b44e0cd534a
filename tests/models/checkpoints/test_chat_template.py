"""Chat templates that never end, or write without end, are refused before they are rendered."""

from pathlib import Path

import pytest

from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.models import load_model
from crossframe.models.checkpoints.chat_template import require_ending
from crossframe.models.checkpoints.template_trial import longest
from crossframe.models.internvl3.original import CHAT_TEMPLATE

LOOP = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "template",
    [
        LOOP,
        "{{ 'x' * 10 ** 10 }}",
        "{{ 10 ** (10 ** 10) }}",
        "{{ 'x'.ljust(10 ** 7) }}",
        "{% for i in range(10 ** 9) %}x{% endfor %}",
        "{% generation %}" + LOOP + "{% endgeneration %}",
    ],
)
def test_a_template_without_end_is_named(template: str) -> None:
    with pytest.raises(
        ValueError, match=r"template of here does not end within 2 s, 1 GiB and .*tak"
    ):
        require_ending(template, {}, "here")


def test_templates_that_end_pass_and_faults_are_left_to_who_renders() -> None:
    for template in (CHAT_TEMPLATE, "{{ eos_token }}", "{{ 1 / 0 }}", "{% endless", None):
        require_ending(template, {"eos_token": "<|im_end|>", "extra": []}, "here")


def test_loading_tries_the_template(tmp_path: Path) -> None:
    folder = save_tiny_checkpoint(tmp_path, layers=1, hidden=32)
    (folder / "chat_template.jinja").write_text(LOOP, "utf-8")
    with pytest.raises(ValueError, match=f"template of {folder} does not end"):
        load_model(folder)


def test_the_trial_renders_as_the_processor_does() -> None:
    chat = [{"role": "user", "content": [{"type": "text", "text": "Why?"}]}]
    wanted = "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
    assert longest(CHAT_TEMPLATE, [chat], {}) == len(wanted)

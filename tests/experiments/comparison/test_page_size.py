"""The page of a comparison as a browser lays it out: 40 rows with long answers, three widths."""

import re
import subprocess
from pathlib import Path

import pytest

from crossframe.experiments.comparison.report import Report

from .test_report import row, steps

ANSWER = "A man in a red jacket walks along the beach, then picks up a shell. " * 16
MEMORIES = ["full", *(f"weight_statistic(capacity={4096 + n})" for n in range(19))]
MEASURE = """<script>
const answers = [...document.querySelectorAll("tr.detail div")];
const texts = [...document.querySelectorAll("tbody td.text")];
document.title = JSON.stringify([
  document.documentElement.scrollHeight, document.documentElement.scrollWidth,
  Math.min(...answers.map(one => one.clientWidth)),
  Math.max(...answers.map(one => one.getBoundingClientRect().right)),
  Math.max(...texts.map(one => one.scrollWidth - one.clientWidth)),
]);
</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        {**row(name, answer=ANSWER), "reader": reader, "archive": "plain"}
        for name in MEMORIES
        for reader in ("all", "carried")
    ]
    every = [step for name in MEMORIES for step in steps(name)]
    config = {"video": "/films/one.mp4", "question": "What happens?"}
    path = Report(rows, every, config, {}).write(tmp_path_factory.mktemp("page"))
    path.write_text(path.read_text("utf-8").replace("</body>", MEASURE + "</body>"), "utf-8")
    return path


@pytest.mark.parametrize(("width", "tallest", "narrowest"), [
    (1280, 16_000, 850), (800, 16_000, 650), (400, 20_000, 300),
])  # fmt: skip
def test_forty_long_answers_are_readable_and_the_page_is_no_scroll(
    page: Path, browser: str, width: int, tallest: int, narrowest: int
) -> None:
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command = [browser, *options, f"--window-size={width},900", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"<title>\[([^]]*)\]</title>", done.stdout)
    assert found is not None
    height, wide, answer, right, hidden = (float(one) for one in found[1].split(","))
    # Headless Chromium lays out no narrower than 500 pixels in some versions.
    width = max(width, int(wide)) if wide <= 500 else width
    assert height < tallest
    assert wide <= width, "the page itself scrolls sideways"
    assert narrowest <= answer
    assert right <= width, "answers end inside the window"
    assert hidden <= 0, "a text is cut"


def test_answers_stand_below_their_row_as_wide_as_the_table(page: Path) -> None:
    text = page.read_text("utf-8")
    columns = len(re.findall("<th[ >]", text))
    below = rf'<tr class="detail[^"]*"><td colspan="{columns}"><div>A man'
    assert len(re.findall(below, text)) == 2 * len(MEMORIES)
    assert ">answer<" not in text

"""Counts what is decoded."""

import pytest

from crossframe.framework.video.playhead import Playhead


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows by one with every frame that is decoded."""
    decode, count = Playhead._frames_of, list[None]()
    monkeypatch.setattr(Playhead, "_frames_of", lambda *given: count.append(None) or decode(*given))
    return count

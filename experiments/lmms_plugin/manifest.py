"""What lmms-eval finds through its entry-point group `lmms_eval.models`."""

from __future__ import annotations

from typing import Any


def manifest() -> Any:
    """The `ModelManifest` of `--model crossframe`; called by lmms-eval alone, so it is there."""
    from lmms_eval.models.registry_v2 import (  # pyright: ignore[reportMissingImports]
        ModelManifest,
    )

    return ModelManifest(
        model_id="crossframe", simple_class_path=f"{__package__}.model.CrossframeModel"
    )

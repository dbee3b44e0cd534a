"""What every test of the adapters shares: a fingerprint of everything a session might leave."""

from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor, nn

from crossframe.models.hf import HFDecoder

# Modules of helpers: their asserts are to tell values as those of tests do.
pytest.register_assert_rewrite("tests.models.stock", "tests.models.streams")

Fingerprint = dict[str, Any]
PLAIN = (str, int, float, bool, type(None))
HOOKS = [name for name, value in vars(nn.Module()).items() if name.endswith("_hooks")]


def look(model: HFDecoder) -> Fingerprint:
    """Names, identities and settings all over the transformers model, and its RoPE."""
    found: Fingerprint = {}
    for name, module in model.hf_model.named_modules():
        found[f"{name} names"] = sorted(vars(module))
        found[f"{name} values"] = {k: v for k, v in vars(module).items() if isinstance(v, PLAIN)}
        found[f"{name} class"] = type(module), type(module).forward
        found[f"{name} hooks"] = {hooks: len(vars(module)[hooks]) for hooks in HOOKS}
        found[f"{name} buffers"] = {key: id(value) for key, value in module.named_buffers()}
        found[f"{name} mode"] = module.training
        if "config" in vars(module):
            found[f"{name} attention"] = module.config._attn_implementation
            found[f"{name} config"] = module.config.to_dict()
    rotary = model.decoder.rotary_emb
    found["rope"] = {key: value for key, value in vars(rotary).items() if isinstance(value, PLAIN)}
    found["frequencies"] = rotary.inv_freq.tolist(), rotary.original_inv_freq.tolist()
    found["generation"] = model.hf_model.generation_config.to_dict()
    found["weights"] = {key: _version(value) for key, value in model.hf_model.state_dict().items()}
    return found


def _version(weight: Tensor) -> tuple[int, int]:
    """Storage and the number of writes into it."""
    return weight.data_ptr(), weight._version


@pytest.fixture(scope="session")
def fingerprint() -> Callable[[HFDecoder], Fingerprint]:
    return look

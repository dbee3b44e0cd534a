"""The Qwen-VL families: pairs of frames in one decoder step."""

from .qwen2_5_vl import Qwen2_5VL as Qwen2_5VL
from .qwen3_5 import Qwen3_5 as Qwen3_5
from .qwen3_vl import Qwen3VL as Qwen3VL

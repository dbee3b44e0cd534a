"""Adapters: one per model family, behind the same `VideoModel` door."""

from .decoder import DecoderModel as DecoderModel
from .eagle2_5.adapter import Eagle2_5 as Eagle2_5
from .families import ModelFamily as ModelFamily
from .families import model_families as model_families
from .glm4v import GLM4V as GLM4V
from .internvl3.adapter import InternVL3 as InternVL3
from .llava_onevision import LlavaOnevision as LlavaOnevision
from .loading import load_model as load_model
from .perception_lm import PerceptionLM as PerceptionLM
from .qwen_vl.qwen2_5_vl import Qwen2_5VL as Qwen2_5VL
from .qwen_vl.qwen3_5 import Qwen3_5 as Qwen3_5
from .qwen_vl.qwen3_vl import Qwen3VL as Qwen3VL
from .smolvlm import SmolVLM as SmolVLM

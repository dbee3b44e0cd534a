"""Tiny untrained models that need no download: for tests and examples."""

from .eagle2_5 import tiny_eagle2_5 as tiny_eagle2_5
from .glm4v import GLM4VOptions as GLM4VOptions
from .glm4v import tiny_glm4v as tiny_glm4v
from .glm4v import tiny_glm4v_processor as tiny_glm4v_processor
from .internvl3 import tiny_internvl as tiny_internvl
from .internvl3 import tiny_processor as tiny_processor
from .llava_onevision import LlavaOnevisionOptions as LlavaOnevisionOptions
from .llava_onevision import tiny_llava_onevision as tiny_llava_onevision
from .llava_onevision import tiny_llava_onevision_processor as tiny_llava_onevision_processor
from .qwen2 import TextOptions as TextOptions
from .qwen2 import special_tokenizer as special_tokenizer
from .qwen2 import tiny_qwen2 as tiny_qwen2
from .qwen2 import tiny_tokenizer as tiny_tokenizer
from .qwen2_5_vl import Qwen2_5VLOptions as Qwen2_5VLOptions
from .qwen2_5_vl import tiny_qwen2_5_vl as tiny_qwen2_5_vl
from .qwen2_5_vl import tiny_qwen2_5_vl_processor as tiny_qwen2_5_vl_processor
from .qwen3_5 import Qwen3_5Options as Qwen3_5Options
from .qwen3_5 import tiny_qwen3_5 as tiny_qwen3_5
from .qwen3_vl import Qwen3VLOptions as Qwen3VLOptions
from .qwen3_vl import tiny_qwen3_vl as tiny_qwen3_vl
from .qwen3_vl import tiny_qwen3_vl_processor as tiny_qwen3_vl_processor
from .smolvlm import SmolVLMOptions as SmolVLMOptions
from .smolvlm import tiny_smolvlm as tiny_smolvlm
from .smolvlm import tiny_smolvlm_processor as tiny_smolvlm_processor

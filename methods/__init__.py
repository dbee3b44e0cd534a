"""Cross-frame memories and readers, one rule per file."""

from ..framework import FullMemory, ReadAll
from .adaptive_heads import AdaptiveHeadBudgets
from .causal_correction import CausalityCorrected
from .contiguous_positions import ContiguousPositions
from .coverage import CoverageMemory
from .h2o import H2OMemory
from .infinipot_v import InfiniPotVMemory
from .isolated_frames import IsolatedFramesMemory
from .keydiff import KeyDiffMemory
from .knorm import KnormMemory
from .lagkv import LagKVMemory
from .layer_budgets import LayerBudgets, PyramidBudgets
from .merged_evictions import MergedEvictions
from .predicted_change import PredictedChangeMemory
from .protected_recent import ProtectedRecent
from .protected_sinks import ProtectedSinks
from .query_rows import QueryRows
from .random_slots import RandomMemory
from .read_carried import ReadCarried
from .read_last_frames import ReadLastFrames
from .read_sinks_and_recent import ReadSinksAndRecent
from .recency import RecencyMemory
from .rekv import ReKVReader
from .reservoir import ReservoirMemory
from .simple_stream import SimpleStream
from .sinks_and_recent import SinksAndRecentMemory
from .sliding_window import SlidingWindowMemory
from .smoothed_score import SmoothedScore
from .snapkv import SnapKVMemory
from .statekv import StateKVMemory
from .stream_mem import StreamMemMemory
from .token_dropping import TokenDroppingMemory
from .tova import TOVAMemory
from .uniform import UniformMemory
from .value_norm import ValueNormMemory
from .value_weighted import ValueWeighted
from .weight_statistic import WeightStatisticMemory

__all__ = [
    "AdaptiveHeadBudgets",
    "CausalityCorrected",
    "ContiguousPositions",
    "CoverageMemory",
    "FullMemory",
    "H2OMemory",
    "InfiniPotVMemory",
    "IsolatedFramesMemory",
    "KeyDiffMemory",
    "KnormMemory",
    "LagKVMemory",
    "LayerBudgets",
    "MergedEvictions",
    "PredictedChangeMemory",
    "ProtectedRecent",
    "ProtectedSinks",
    "PyramidBudgets",
    "QueryRows",
    "RandomMemory",
    "ReKVReader",
    "ReadAll",
    "ReadCarried",
    "ReadLastFrames",
    "ReadSinksAndRecent",
    "RecencyMemory",
    "ReservoirMemory",
    "SimpleStream",
    "SinksAndRecentMemory",
    "SlidingWindowMemory",
    "SmoothedScore",
    "SnapKVMemory",
    "StateKVMemory",
    "StreamMemMemory",
    "TOVAMemory",
    "TokenDroppingMemory",
    "UniformMemory",
    "ValueNormMemory",
    "ValueWeighted",
    "WeightStatisticMemory",
]

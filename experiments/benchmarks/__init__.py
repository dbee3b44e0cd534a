"""Benchmarks of video understanding, read from their own files: a table of contents."""

from collections.abc import Mapping
from types import MappingProxyType

from .egoschema import EgoSchema as EgoSchema
from .longvideobench import LongVideoBench as LongVideoBench
from .lvbench import LVBench as LVBench
from .mlvu import MLVU as MLVU
from .ovobench import OVOBench as OVOBench
from .question import Benchmark as Benchmark
from .question import Harness as Harness
from .question import MultipleChoice as MultipleChoice
from .question import Question as Question
from .question_file import QuestionFile as QuestionFile
from .streamingbench import StreamingBench as StreamingBench
from .videomme import VideoMME as VideoMME

BENCHMARKS: Mapping[str, type[Benchmark]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (VideoMME, MLVU, OVOBench, LongVideoBench, LVBench, EgoSchema, StreamingBench)
    }
)

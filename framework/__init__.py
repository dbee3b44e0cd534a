"""The contract of cross-frame memories and everything around it that needs only torch."""

from .answer import Answer as Answer
from .archive import Archive as Archive
from .archive import PlainArchive as PlainArchive
from .cost import DecoderSpec as DecoderSpec
from .costs import StepCost as StepCost
from .frame_tokens import Cursor as Cursor
from .frame_tokens import FrameTokens as FrameTokens
from .full import FullMemory as FullMemory
from .memory import CrossFrameMemory as CrossFrameMemory
from .memory import RankingMemory as RankingMemory
from .memory import ScoringMemory as ScoringMemory
from .memory import WrappedMemory as WrappedMemory
from .memory import WrappedRankingMemory as WrappedRankingMemory
from .memory import require_count as require_count
from .memory import top_slots as top_slots
from .model import VideoModel as VideoModel
from .placement import close_gaps as close_gaps
from .placement import next_position as next_position
from .placement import span as span
from .reader import ReadAll as ReadAll
from .reader import Reader as Reader
from .session import VideoSession as VideoSession
from .slots import Slots as Slots
from .storage import LayerArchive as LayerArchive

"""SynthVideo: procedural videos with questions, known answers and the time of their evidence."""

from .captions import captions as captions
from .clip import Clip as Clip
from .clip import make_clip as make_clip
from .clip import make_truth as make_truth
from .course import SynthCourse as SynthCourse
from .lessons import Course as Course
from .lessons import Lesson as Lesson
from .lessons import TimedQuestion as TimedQuestion
from .setting import Setting as Setting
from .tasks import TASKS as TASKS
from .truth import Truth as Truth

"""The public test kit: any memory, archive or reader against all laws, in one line.

    from crossframe.framework.testing import check_archive, check_memory, check_reader
    check_memory(MyMemory(capacity=8), unbounded=MyMemory(capacity=None))
    check_archive(MyArchive())
    check_reader(MyReader())

Needs the extra `testing` (hypothesis). Over the kit's own models every law looks first at one fixed
stream in which much happens, `eventful_stream`; then at random ones: batch 1 to 3, grouped queries,
frames of unequal token counts, a prompt or none, several frames per push and per step, RoPE and
M-RoPE. These are the same at every run. For fresh ones write `settings.register_profile("soak")` of
hypothesis into your conftest.py and run `pytest --hypothesis-profile=soak`, with
`--hypothesis-seed=7` to repeat.
"""

try:
    from .kit import ARCHIVE_LAWS as ARCHIVE_LAWS
    from .kit import LAWS as LAWS
    from .kit import READER_LAWS as READER_LAWS
    from .kit import LawBroken as LawBroken
    from .kit import Stream as Stream
    from .kit import check_archive as check_archive
    from .kit import check_archive_law as check_archive_law
    from .kit import check_law as check_law
    from .kit import check_memory as check_memory
    from .kit import check_reader as check_reader
    from .kit import check_reader_law as check_reader_law
    from .kit import eventful_stream as eventful_stream
    from .kit import memory_machine as memory_machine
    from .kit import reference_models as reference_models
    from .kit import seeded_stream as seeded_stream
    from .kit import streams as streams
except ModuleNotFoundError as error:
    if error.name != "hypothesis":
        raise
    raise ModuleNotFoundError(
        "the kit draws its streams by hypothesis: pip install 'crossframe[testing]'",
        name=error.name,
    ) from None

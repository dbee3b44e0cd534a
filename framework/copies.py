"""What Python's ways of copying an object mean for one whose storage must not be shared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NoReturn, Self


class CopiedByFork(ABC):
    """`copy.copy` and `copy.deepcopy` fork, without copying the frozen model; pickling is refused,
    as it would write the model's weights."""

    @abstractmethod
    def fork(self) -> Self:
        """An independent object that goes on from the same point."""

    def __copy__(self) -> Self:
        return self.fork()

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self.fork()

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(
            f"a {name} cannot be pickled, as its model would be too: write it with .save(path) and "
            f"read it with {name}.load(path, model)"
        )

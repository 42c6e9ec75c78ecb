"""Objects that hold an engine, pickled and copied all the same."""

from functools import partial
from typing import Any, ClassVar, Self


class MadeAnew:
    """An object whose copies, in this process or another, are made as it was made.

    ``pickle``, ``copy`` and ``multiprocessing`` take the arguments of its constructor along, and
    the attributes named in ``kept``, as they are now.

    Example:
        >>> import copy
        >>> class Model(MadeAnew):
        ...     kept = ("length",)
        ...     def __init__(self, name):
        ...         self.name, self.length, self.engine = name, 512, open
        >>> model = Model("small")
        >>> model.length = 64
        >>> copied = copy.deepcopy(model)
        >>> copied.name, copied.length
        ('small', 64)
    """

    kept: ClassVar[tuple[str, ...]] = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remember the arguments."""
        made = super().__new__(cls)
        made._arguments = (args, kwargs)
        return made

    _arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __reduce__(self) -> tuple[Any, ...]:
        args, kwargs = self._arguments
        return (
            partial(type(self), **kwargs),
            args,
            {name: getattr(self, name) for name in self.kept},
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

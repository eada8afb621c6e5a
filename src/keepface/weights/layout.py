"""What a published file must hold: every tensor's name and shape, checked before any of it is used."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from keepface.errors import WeightsError

NAMES_SHOWN = 5  # of each kind, when a layout doesn't fit
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """The tensors of one published file, by name, as they are after renaming.

    Args:
        title: what the file is, for errors.
        shapes: each tensor's shape; all must be there and no others.
        renamed: (published start, our start) of names; the first that fits is used.
        ignored: starts of published names that may be there and are not used.
    """

    title: str
    shapes: Mapping[str, Shape]
    renamed: Sequence[tuple[str, str]] = ()
    ignored: Sequence[str] = ()

    @classmethod
    def of(cls, module: nn.Module, title: str = "", prefix: str = "") -> "Layout":
        """Take the layout of a module, whose tensors may be torch's meta ones; `prefix` goes before each name."""
        shapes = {prefix + name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
        return cls(title or type(module).__name__, shapes)

    @property
    def size(self) -> int:
        """Count the values of all its tensors."""
        return sum(_product(shape) for shape in self.shapes.values())

    def read(self, renamed: Sequence[tuple[str, str]] = (), ignored: Sequence[str] = ()) -> "Layout":
        """Return the layout with other ways from the published names."""
        return replace(self, renamed=renamed, ignored=ignored)


def take(tensors: Mapping[str, Tensor], layout: Layout, where: str) -> dict[str, Tensor]:
    """Rename a published file's tensors to ours, leave out what is not used, and check that the rest is the layout.

    Raises:
        WeightsError: names are missing, unknown, or of another shape, or two names became one.
    """
    taken: dict[str, Tensor] = {}
    for published, tensor in tensors.items():
        if published.startswith(tuple(layout.ignored)):
            continue
        name = next(
            (new + published[len(old) :] for old, new in layout.renamed if published.startswith(old)), published
        )
        if name in taken:
            raise WeightsError(f"{where}: not the weights of {layout.title}: two of its tensors are {name}")
        taken[name] = tensor
    check_layout(taken, layout, where)
    return taken


def check_layout(tensors: Mapping[str, Tensor], layout: Layout, where: str) -> None:
    """See that tensors are those of a layout, one to one; `where` names them in errors.

    Raises:
        WeightsError: names are missing, unknown, or of another shape; the first five of each are listed.
    """
    if problem := misfit({name: tuple(tensor.shape) for name, tensor in tensors.items()}, layout.shapes):
        raise WeightsError(f"{where}: these weights are not for {layout.title}: {problem}")


def misfit(found: Mapping[str, Shape], wanted: Mapping[str, Shape]) -> str:
    """Say how names and shapes differ from those wanted; empty when they do not."""
    misshapen = [
        f"{name} {found[name]} instead of {wanted[name]}"
        for name in wanted
        if name in found and found[name] != wanted[name]
    ]
    problems = {
        "missing": [name for name in wanted if name not in found],
        "unknown": [name for name in found if name not in wanted],
        "of another shape": misshapen,
    }
    return "; ".join(f"{len(names)} {kind}: {_first(names)}" for kind, names in problems.items() if names)


def _first(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:NAMES_SHOWN]) + (", …" if len(listed) > NAMES_SHOWN else "")


def _product(shape: Shape) -> int:
    total = 1
    for side in shape:
        total *= side
    return total

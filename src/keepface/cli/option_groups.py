"""Commands with more options than one signature holds: groups of options, each a function that is never called."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand

from keepface.cli.several import spread


class WithGroups(TyperCommand):
    """A command with the options of its groups besides its own; what they are set to waits in its context's `meta`."""

    context_class = typer.Context  # what Typer says that a command gets, and does not give by itself
    several: ClassVar[tuple[str, ...]] = ()  # options that take several values after one name
    groups: ClassVar[Mapping[str, Callable[..., None]]] = {}  # under which key they wait: whose signature they are

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the command's own options, then those of its groups, then --help."""
        *own, about = super().get_params(ctx)
        return [*own, *(item for group in self.groups.values() for item in _options(group)), about]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take several values after one name of the options that may have them."""
        valued = {name for item in self.get_params(ctx) if not getattr(item, "is_flag", True) for name in item.opts}
        for option in self.several:
            args = spread(args, valued, option)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Call the command with its own options alone."""
        for key, group in self.groups.items():
            names = {item.name for item in _options(group)}
            ctx.meta[key] = {name: ctx.params.pop(name) for name in list(ctx.params) if name in names}
        return super().invoke(ctx)


@functools.cache
def _options(group: Callable[..., None]) -> tuple[Any, ...]:
    app = typer.Typer(add_completion=False)
    app.command()(group)
    return tuple(typer.main.get_command(app).params)

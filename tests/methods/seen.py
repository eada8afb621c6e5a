"""What a network was called with."""

from typing import Any

from torch import nn


class Seen:
    """Keep the conditions that a network is called with."""

    def __init__(self, network: nn.Module) -> None:
        self.calls: list[dict[str, Any]] = []
        network.register_forward_pre_hook(self._keep, with_kwargs=True)

    def _keep(self, network: nn.Module, positional: Any, named: dict[str, Any]) -> None:
        self.calls.append({"x_t": positional[0], "t": positional[1], **named})

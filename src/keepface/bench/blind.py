"""Restorers that know no person, from a user's own file: whatever networks the package spandrel knows.

Files are safetensors: a .pth is a pickle, which can run code as it is read, and is refused.
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.errors import MissingExtraError, WeightsError
from keepface.image.size import resize
from keepface.weights.store import read_safetensors, sha256


class BlindRestorer:
    """A network that takes a picture and gives a better one."""

    def __init__(self, network: Any, device: torch.device, card: dict[str, str]) -> None:
        self._network, self._device, self.card = network, device, card

    @classmethod
    def load(cls, path: Path, device: torch.device) -> "BlindRestorer":
        """Load a file of weights; its layout tells spandrel which network it is for.

        Raises:
            MissingExtraError: spandrel is not installed.
            WeightsError: the file is missing, damaged, a pickle, or of a network that spandrel doesn't know.
        """
        tensors = read_safetensors(path)
        try:
            import spandrel
        except (ImportError, RuntimeError) as error:  # torchvision built for another torch raises the second
            reason = str(error).splitlines()[0]
            raise MissingExtraError(
                f"restorers from files need spandrel ({reason}): pip install 'keepface[blind]'"
            ) from None
        try:
            network = spandrel.ModelLoader(device).load_from_state_dict(tensors)
        except Exception as error:  # whatever the detection of dozens of layouts runs into
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise WeightsError(f"{path}: spandrel can't load it: {reason}") from None
        if not isinstance(network, spandrel.ImageModelDescriptor):
            raise WeightsError(f"{path}: is a {type(network).__name__}, which takes more than a picture")
        name = str(network.architecture.name)
        return cls(network.eval(), device, {"architecture": name, "file": path.name, "sha256": sha256(path)})

    @torch.no_grad()
    def restore(self, low: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
        """Restore squares (RGB, 0..1); for a network of another size they are resized there and back, bicubic."""
        size = low.shape[-1]
        needs = self._network.size_requirements
        side = -(-max(size, needs.minimum) // needs.multiple_of) * needs.multiple_of
        given = resize(low, (side, side), "bicubic").to(self._device)
        restored = torch.cat([self._network(item[None]) for item in given])
        return resize(restored.float().cpu().clamp(0, 1), (size, size), "bicubic")

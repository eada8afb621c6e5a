"""The frozen image network that stands in CLIP's place: EfficientNet-Lite0 (Tan & Le 2019), trained on ImageNet.

It is written here because its carrier package ships weights only, and torch (not a runtime) runs it because
training needs gradients through it and results are compared by its inner features.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from keepface.errors import WeightsError
from keepface.weights.store import find, load_strictly

NAME = "efficientnet-lite0"  # its card in weights/cards.toml
INPUT_PX = 224
POOLED_DIM = 1280
# (repeats, kernel, stride, expansion, out channels), the B0 table; Lite drops squeeze-excitation and uses ReLU6.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class ImageEncoder(nn.Module):
    """EfficientNet-Lite0, frozen; pictures come in as RGB, 0..1.

    Args:
        stages: another table makes another network of the Lite family.
    """

    name = NAME
    pooled_dim = POOLED_DIM

    def __init__(self, stages: Sequence[tuple[int, int, int, int, int]] = STAGES) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 32, 3, stride=2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        blocks: list[nn.Module] = []
        width = 32
        before_halving: list[int] = []
        for repeats, kernel, stride, expansion, out in stages:
            if stride == 2:
                before_halving.append(len(blocks) - 1)
            for repeat in range(repeats):
                blocks.append(_InvertedResidual(width, out, kernel, stride if repeat == 0 else 1, expansion))
                width = out
        self._feature_blocks = tuple(before_halving)
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(width, POOLED_DIM, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(POOLED_DIM, eps=1e-3)
        self._fc = nn.Linear(POOLED_DIM, 1000)
        self.eval().requires_grad_(False)

    @classmethod
    def load(cls) -> "ImageEncoder":
        """Load the published weights from their carrier package, strictly, with a weights-only unpickler."""
        encoder = cls()
        path = find(NAME)
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(tensors, dict):
            raise WeightsError(f"{path}: holds a {type(tensors).__name__}; a dict of tensors is needed")
        load_strictly(encoder, tensors, str(path))
        return encoder

    def train(self, mode: bool = True) -> "ImageEncoder":
        """Stay in evaluation mode: the network is frozen."""
        return super().train(False)

    @torch.no_grad()
    def describe(
        self, boxed: Float[Tensor, "3 s s"], upright: Float[Tensor, "3 s s"]
    ) -> tuple[Float[Tensor, "1280"], Float[Tensor, "t 1280"]]:
        """Return the pooled features of a face's box and the tokens of the upright face, on the CPU."""
        crops = torch.stack([boxed, upright]).to(next(self.parameters()).device)
        pooled, tokens = self.feature_map(crops).float().cpu()
        return pooled.mean((1, 2)), tokens.flatten(1).T.contiguous()

    def stages(self, image: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b c h2 w2"]]:
        """Return the feature maps before each halving, strides 2, 4, 8 and 16."""
        x = self._stem(image)
        features = []
        for index, block in enumerate(self._blocks[: self._feature_blocks[-1] + 1]):
            x = block(x)
            if index in self._feature_blocks:
                features.append(x)
        return features

    def pooled(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1280"]:
        """Return the pooled features before the classifier, in CLIP's pooled output's place."""
        return self.feature_map(image).mean((2, 3))

    def tokens(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b t 1280"]:
        """Return the last feature map as tokens, row by row, in CLIP's inner tokens' place; 224 px give 7 x 7."""
        return self.feature_map(image).flatten(2).transpose(1, 2)

    def feature_map(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1280 h2 w2"]:
        """Return the last feature map, before pooling, stride 32."""
        x = self._stem(image)
        for block in self._blocks:
            x = block(x)
        return functional.relu6(self._bn1(self._conv_head(x)))

    def _stem(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 32 h2 w2"]:
        x = (image * 255 - 127) / 128
        return functional.relu6(self._bn0(self._conv_stem(_pad_same(x, 3, 2))))


class _InvertedResidual(nn.Module):
    def __init__(self, width: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = width * expansion
        self.kernel, self.stride, self.has_skip = kernel, stride, stride == 1 and width == out
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = nn.Conv2d(width, hidden, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(hidden, eps=1e-3)
        self._depthwise_conv = nn.Conv2d(hidden, hidden, kernel, stride=stride, groups=hidden, bias=False)
        self._bn1 = nn.BatchNorm2d(hidden, eps=1e-3)
        self._project_conv = nn.Conv2d(hidden, out, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(out, eps=1e-3)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        y = functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = functional.relu6(self._bn1(self._depthwise_conv(_pad_same(y, self.kernel, self.stride))))
        y = self._bn2(self._project_conv(y))
        return x + y if self.has_skip else y


def _pad_same(x: Float[Tensor, "b c h w"], kernel: int, stride: int) -> Float[Tensor, "b c h2 w2"]:
    pads: list[int] = []
    for length in (x.shape[-1], x.shape[-2]):
        total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
        pads += [total // 2, total - total // 2]
    return functional.pad(x, pads)


def crop_box(image: Float[Tensor, "3 h w"], box: tuple[float, float, float, float]) -> Float[Tensor, "3 224 224"]:
    """Crop a detector's raw box, with no margin, as CLIP's processor does. [FaceMe, Identity encoder]

    What lies outside the picture is black; the short side becomes 224 px (bicubic), the long one is rounded down, then
    the centre is cut out.
    """
    left, top, right, bottom = (round(value) for value in box)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    tall, wide = image.shape[-2:]
    inside = image[:, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    pads = (
        min(max(-left, 0), right - left),
        max(right - max(wide, left), 0),
        min(max(-top, 0), bottom - top),
        max(bottom - max(tall, top), 0),
    )
    crop = functional.pad(inside, pads)
    short = min(crop.shape[-2:])
    size = [INPUT_PX * side // short for side in crop.shape[-2:]]  # CLIP's processor cuts the fraction off
    crop = functional.interpolate(crop[None], size=size, mode="bicubic", antialias=True)[0].clamp(0, 1)
    y, x = (size[0] - INPUT_PX) // 2, (size[1] - INPUT_PX) // 2
    return crop[:, y : y + INPUT_PX, x : x + INPUT_PX].contiguous()

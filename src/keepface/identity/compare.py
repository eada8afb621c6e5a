"""Are two faces the same person: comparisons of unit embeddings."""

from jaxtyping import Float
from torch import Tensor


def cosine(a: Float[Tensor, "*n d"], b: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
    """Return the cosine between embeddings, -1..1; the lengths of the vectors do not matter."""
    return (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp_min(1e-12)


def to_references(embedding: Float[Tensor, "d"], references: Float[Tensor, "r d"]) -> float:
    """Return the mean cosine of one embedding to a person's references, -1..1."""
    return float(cosine(embedding.expand_as(references), references).mean())

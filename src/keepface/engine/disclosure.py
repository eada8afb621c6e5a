"""A page that says what was done to a photo, for archives and forensic readers: one HTML file that needs no other.

It prints well: "print to PDF" in any browser makes the paper of it.
"""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.config import to_dict
from keepface.engine.result import FaceResult, Restoration
from keepface.engine.sidecar import Sidecar
from keepface.image.files import Photo, encode_photo
from keepface.image.size import resize

SHOWN_PX = 900  # longest side of a picture on the page
DIFFERENCE_GAIN = 4.0
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; width: 100%; }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .6rem .25rem 0; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
figure { display: inline-block; margin: 0 1rem 1rem 0; width: calc(50% - 1.2rem); vertical-align: top; }
img { max-width: 100%; height: auto; border: 1px solid #ccc; }
figcaption { font-size: 13px; color: #555; }
.said { border-left: 4px solid #d55e00; padding-left: 1rem; }
@page { margin: 18mm; }
@media print { body { font-size: 11px; margin: 0; max-width: none; } figure, tr { break-inside: avoid; } }
"""
STATEMENT = (
    "Faces in this picture were restored by a trained generative model. Detail in them that is finer than the photo "
    "holds was not recorded by a camera at the time: it comes from other photos of the person, or from what the model "
    "learned of faces in general. The picture must not be used to identify a person, nor as evidence of how somebody "
    "looked. The photo as it was is named by its hash below, and it is the record."
)
NOTHING = "Nothing was restored: the picture is the photo as it was."
LEGEND = "Blue: brought by the references. Vermilion: invented, other seeds drew it otherwise. Grey: from the photo."


@dataclass(frozen=True, eq=False)
class Disclosed:
    """What the page is written of."""

    before: Photo
    restoration: Restoration
    sidecar: Sidecar


def report(disclosed: Disclosed) -> str:
    """Write the page."""
    restoration, sidecar = disclosed.restoration, disclosed.sidecar
    parts = [
        "<h1>What was done to this photo</h1>",
        f'<p class="said">{STATEMENT if restoration.changed else NOTHING}</p>',
        _pictures(disclosed),
        "<h2>The photo and the result</h2>",
        _table(_files(disclosed)),
        "<h2>What was changed where</h2>",
        _table(_changed(disclosed)),
        *[_face(number, face, restoration) for number, face in enumerate(restoration.faces)],
        "<h2>How it was made</h2>",
        _table(_how(sidecar)),
        "<h2>Options</h2>",
        _table(_flat(to_dict(sidecar.options))),
    ]
    head = f'<meta charset="utf-8"><title>Disclosure of a restored photo</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def difference(before: Float[Tensor, "3 h w"], after: Float[Tensor, "3 h2 w2"]) -> Float[Tensor, "3 h2 w2"]:
    """Draw how much each pixel changed, over all colours, four times as strong; black is unchanged."""
    if before.shape != after.shape:
        before = resize(before, (after.shape[1], after.shape[2]), "bicubic")
    change = (after - before).abs().amax(0, keepdim=True) * DIFFERENCE_GAIN
    return change.clamp(0, 1).expand(3, -1, -1)


def _pictures(disclosed: Disclosed) -> str:
    before, after = disclosed.before.pixels, disclosed.restoration.image.pixels
    shown = [(before, "The photo as it was"), (after, "The result")]
    if disclosed.restoration.changed:
        shown.append((difference(before, after), f"What changed, {DIFFERENCE_GAIN:g} times as strong; black: nothing"))
    evidence = disclosed.restoration.evidence
    if evidence is not None:
        shown.append((evidence.overlay(after), LEGEND))
    return "<div>" + "".join(_figure(pixels, text) for pixels, text in shown) + "</div>"


def _figure(pixels: Float[Tensor, "3 h w"], text: str) -> str:
    height, width = pixels.shape[1:]
    scale = min(1.0, SHOWN_PX / max(height, width))
    small = resize(pixels, (max(1, round(height * scale)), max(1, round(width * scale))), "bicubic").clamp(0, 1)
    data = base64.b64encode(encode_photo(Photo(small), "PNG")).decode()
    caption = html.escape(text)
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'
    )


def _files(disclosed: Disclosed) -> list[tuple[str, str]]:
    sidecar, before, after = disclosed.sidecar, disclosed.before.pixels, disclosed.restoration.image.pixels
    return [
        ("SHA-256 of the photo's file", sidecar.sources.photo_sha256),
        ("SHA-256 of the result's file, unsigned", sidecar.output_sha256),
        ("Size of the photo", f"{before.shape[2]} x {before.shape[1]} px"),
        ("Size of the result", f"{after.shape[2]} x {after.shape[1]} px"),
    ]


def _changed(disclosed: Disclosed) -> list[tuple[str, str]]:
    before, after = disclosed.before.pixels, disclosed.restoration.image.pixels
    if before.shape != after.shape:
        return [("Pixels", "all: the result has another size than the photo")]
    changed = (before != after).any(0)
    share = float(changed.double().mean())
    rows = [("Pixels that differ", f"{int(changed.sum()):,} of {changed.numel():,} ({100 * share:.2f} %)")]
    if share:
        y, x = torch.nonzero(changed, as_tuple=True)
        box = f"from {int(x.min())}, {int(y.min())} to {int(x.max())}, {int(y.max())}"
        strongest = float((after - before).abs().max())
        rows += [
            ("They lie", f"{box} (x, y in pixels)"),
            ("Largest change of a channel", f"{255 * strongest:.0f} of 255"),
        ]
    return rows


def _face(number: int, face: FaceResult, restoration: Restoration) -> str:
    if face.box is None:
        return "<p>No face was found.</p>"
    left, top, right, bottom = face.box
    likeness = face.similarity
    rows = [
        ("Where", f"from {left:.0f}, {top:.0f} to {right:.0f}, {bottom:.0f} (x, y in pixels of the photo)"),
        ("What was done", "left as it was" if face.outcome == "unchanged" else face.outcome),
        *([("Why", why)] if (why := face.unnamed().reason) else []),
        ("Likeness to the references before", _number(likeness.input_to_references)),
        ("Likeness to the references after", _number(likeness.output_to_references)),
        ("Likeness of the result to the photo", _number(likeness.output_to_input)),
        ("Who it is: probability that the photo's face is the person's", _number(face.same_person_probability)),
        *_quality(face),
    ]
    for shares in restoration.evidence.faces if restoration.evidence else ():
        if shares.face == number:
            rows += [
                ("From the photo", _percent(shares.photo)),
                ("From the references", _percent(shares.references)),
                ("Invented", _percent(shares.invented)),
                ("Contrast finer than the photo holds", _percent(shares.finer_than_photo)),
            ]
    return f"<h3>Face {number + 1}</h3>{_table(rows)}{_candidates(face)}"


def _quality(face: FaceResult) -> list[tuple[str, str]]:
    """Return what was measured of a face that was changed, before and after."""
    found = face.quality
    if found is None:
        return []
    return [
        (
            "Detail, as pixels a side that it fills",
            f"{found.held_px_before:.0f} before, {found.held_px_after:.0f} after",
        ),
        ("Noise, in shares of white", f"{found.noise_before:.3f} before, {found.noise_after:.3f} after"),
        ("Contrast of eyes and mouth, after to before", f"{found.eyes:.2f}, {found.mouth:.2f}"),
        ("How sure the detector is of the face", f"{found.score_before:.2f} before, {found.score_after:.2f} after"),
        ("Brightness and colour of the face moved by", f"{found.lighter:+.3f}, {found.tinted:.3f}"),
    ]


def _candidates(face: FaceResult) -> str:
    if len(face.candidates) < 2:
        return ""
    names = ("seed", "likeness (ranks)", "likeness (judge)", "agreement, dB", "NIQE", "score")
    head = "".join(f"<th>{name}</th>" for name in names)
    rows = []
    for item in face.candidates:
        values = (_number(item.identity), _number(item.judged), f"{item.consistency_db:.1f}", _number(item.naturalness))
        seed = f"{item.seed}{' (chosen)' if item.chosen else ''}"
        rows.append("".join(f"<td>{value}</td>" for value in (seed, *values, f"{item.score:.2f}")))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<p>Candidates, best first:</p><table><tr>{head}</tr>{body}</table>"


def _how(sidecar: Sidecar) -> list[tuple[str, str]]:
    maker, sources = sidecar.maker, sidecar.sources
    references = [f"{item.sha256} (weight {item.weight:g})" for item in sources.references]
    return [
        ("Tool", f"keepface {maker.version}"),
        ("Method", f"{maker.method} {maker.method_sha256 or ''}"),
        ("Networks", f"{maker.family or 'unnamed'} {maker.family_sha256 or ''}"),
        ("References by SHA-256", "; ".join(references) or "none"),
        ("People of a library by hash", "; ".join(sources.people_sha256) or "none"),
        ("SHA-256 of the options", sidecar.options_sha256),
        *_flat(to_dict(sidecar.machine)),
    ]


def _flat(values: dict[str, object], before: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{before}{name}.")
        else:
            rows.append((f"{before}{name}", str(value)))
    return rows


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{cells}</table>"


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"

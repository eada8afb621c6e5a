"""Places that XMP names in a picture, such as faces with their names, turned with the picture.

Metadata Working Group, "Guidelines for handling image metadata", version 2.0, 5.9   [MWG]
Microsoft, "People tagging", MPReg:Rectangle                                         [MPReg]
IPTC Photo Metadata Standard 2025.1, "Image region"                                  [IPTC]
"""

from typing import Any
from xml.dom import Node

from keepface.image.places import Box, turned

AREA = "http://ns.adobe.com/xmp/sType/Area#"
DIMENSIONS = "http://ns.adobe.com/xap/1.0/sType/Dimensions#"
MWG = "http://www.metadataworkinggroup.com/schemas/regions/"
MICROSOFT = "http://ns.microsoft.com/photo/1.2/t/Region#"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
EXIF = "http://ns.adobe.com/exif/1.0/"
SUBJECT_PLACES = frozenset({(EXIF, "SubjectArea"), (EXIF, "SubjectLocation")})  # stand in EXIF itself too


def turn_places(root: Any, orientation: int, size: tuple[int, int]) -> None:
    """Turn all places below an element, when a picture whose stored `size` is (width, height) is turned upright."""
    if orientation == 1:
        return
    nodes = [root, *root.getElementsByTagName("*")]
    is_turned = any(_is_upright(node, orientation, size) for node in nodes)
    for node in nodes:
        if not is_turned:
            _turn_area(node, orientation)
        _turn_rectangle(node, orientation)
        _turn_boundary(node, orientation, size)
    for node in nodes if orientation >= 5 and not is_turned else []:
        width, height = _get(node, DIMENSIONS, "w"), _get(node, DIMENSIONS, "h")
        if node.namespaceURI == MWG and width is not None and height is not None:
            _set(node, DIMENSIONS, "w", height)
            _set(node, DIMENSIONS, "h", width)


def _is_upright(node: Any, orientation: int, size: tuple[int, int]) -> bool:
    """Tell whether places were said of the upright picture already: of its size, and not of the stored one's. [MWG]"""
    if node.namespaceURI != MWG or orientation < 5 or size[0] == size[1]:
        return False
    said = _numbers(node, DIMENSIONS, ("w", "h"))
    return said is not None and (round(said[0]), round(said[1])) == size[::-1]


def _turn_area(node: Any, orientation: int) -> None:
    """Turn the middle of an area, and its sides; a circle and a point have none. [MWG, 5.9.2.1]"""
    middle = _numbers(node, AREA, ("x", "y"))
    if middle is None:
        return
    sides = _numbers(node, AREA, ("w", "h"))
    across, down = sides or (0.0, 0.0)
    x, y, across, down = turned((middle[0] - across / 2, middle[1] - down / 2, across, down), orientation)
    values = {"x": x + across / 2, "y": y + down / 2} | ({"w": across, "h": down} if sides else {})
    for name, value in values.items():
        _set(node, AREA, name, _written(value))


def _turn_rectangle(node: Any, orientation: int) -> None:
    """Turn left, top, width and height, which stand in one text. [MPReg]"""
    text = _get(node, MICROSOFT, "Rectangle")
    if text is None:
        return
    try:
        x, y, across, down = (float(part) for part in text.split(","))
    except ValueError:
        return
    _set(
        node, MICROSOFT, "Rectangle", ", ".join(_written(value) for value in turned((x, y, across, down), orientation))
    )


def _turn_boundary(node: Any, orientation: int, size: tuple[int, int]) -> None:
    """Turn a corner with its sides, the middle of a circle, or a corner of a polygon. [IPTC]"""
    corner = _numbers(node, IPTC, ("rbX", "rbY"))
    if corner is None:
        return
    sides = _numbers(node, IPTC, ("rbW", "rbH"))
    box: Box = (*corner, *(sides or (0.0, 0.0)))
    width, height = (float(side) for side in (size if _unit(node) == "pixel" else (1, 1)))
    values = dict(zip(("rbX", "rbY", "rbW", "rbH"), turned(box, orientation, width, height), strict=True))
    for name in ("rbX", "rbY", *(("rbW", "rbH") if sides else ())):
        _set(node, IPTC, name, _written(values[name]))


def _unit(node: Any) -> str | None:
    while node is not None and node.nodeType == Node.ELEMENT_NODE:
        if unit := _get(node, IPTC, "rbUnit"):
            return unit
        node = node.parentNode
    return None


def _numbers(node: Any, space: str, names: tuple[str, str]) -> tuple[float, float] | None:
    texts = [_get(node, space, name) for name in names]
    try:
        one, other = (float(text) for text in texts if text is not None)
    except ValueError:
        return None
    return one, other


def _get(node: Any, space: str, name: str) -> str | None:
    """Read a simple property, which is an attribute or an element."""
    if node.hasAttributeNS(space, name):
        return str(node.getAttributeNS(space, name))
    element = _child(node, space, name)
    return None if element is None else "".join(part.data for part in element.childNodes if _is_text(part)).strip()


def _set(node: Any, space: str, name: str, value: str) -> None:
    if node.hasAttributeNS(space, name):
        node.getAttributeNodeNS(space, name).value = value
        return
    element = _child(node, space, name)
    for part in list(element.childNodes):
        element.removeChild(part)
    element.appendChild(element.ownerDocument.createTextNode(value))


def _child(node: Any, space: str, name: str) -> Any:
    found = (child for child in node.childNodes if child.nodeType == Node.ELEMENT_NODE)
    return next((child for child in found if child.namespaceURI == space and child.localName == name), None)


def _is_text(node: Any) -> bool:
    return bool(node.nodeType == Node.TEXT_NODE)


def _written(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")

"""XMP, the packet of properties that a picture file may carry: what a photo brought is kept, what we say is added.

    ISO 16684-1:2019, "Extensible metadata platform (XMP)", part 1; Adobe's part 3 says where each format keeps it [XMP]

A packet is XML from a stranger: one with a document type, or longer than MAX_BYTES, is left out unread.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.dom import Node, minidom
from xml.parsers.expat import ExpatError

from PIL import Image

from keepface.image.xmp_places import SUBJECT_PLACES, turn_places

MAX_BYTES = 4_000_000
JPEG_BYTES = 65502  # the longest packet that one JPEG segment holds [XMP, part 3, 1.1.3]
TIFF_TAG = 700
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
EXIF = "http://ns.adobe.com/exif/1.0/"
TIFF = "http://ns.adobe.com/tiff/1.0/"
# Namespaces and properties that describe the old file's bytes (parts beside the picture, its storage, its thumbnail).
STRUCTURE_SPACES = frozenset(
    {
        "http://ns.adobe.com/xmp/note/",  # a second packet, which Pillow does not read
        "http://ns.google.com/photos/1.0/camera/",  # the film behind a "motion photo"
        "http://ns.google.com/photos/1.0/container/",
        "http://ns.adobe.com/hdr-gain-map/1.0/",
    }
)
STRUCTURE = frozenset(
    {("http://ns.adobe.com/xap/1.0/", "Thumbnails"), (EXIF, "PixelXDimension"), (EXIF, "PixelYDimension")}
    | {(TIFF, name) for name in ("Orientation", "ImageWidth", "ImageLength", "BitsPerSample", "Compression")}
    | {(TIFF, name) for name in ("PhotometricInterpretation", "SamplesPerPixel", "PlanarConfiguration")}
)
HEAD = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
TAIL = '<?xpacket end="w"?>'
EMPTY = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"></rdf:RDF></x:xmpmeta>'


@dataclass(frozen=True)
class Property:
    """The name of a simple property: its namespace, the prefix to write it with, and its own name."""

    space: str
    prefix: str
    name: str


def read_xmp(image: Image.Image, orientation: int = 1, size: tuple[int, int] = (0, 0)) -> bytes | None:
    """Take a loaded picture's packet, as `tidy` makes it; `None` where there is none that is sound."""
    found: Any = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if found is None and image.format == "TIFF":
        found = getattr(image, "tag_v2", {}).get(TIFF_TAG)
    if isinstance(found, str):
        found = found.encode("utf-8", "surrogateescape")
    return tidy(found, orientation, size) if isinstance(found, bytes) else None


def tidy(packet: bytes, orientation: int = 1, size: tuple[int, int] = (0, 0)) -> bytes | None:
    """Write a packet anew without what describes the old file; `None` if it can't be read or nothing is left.

    The places in it are turned with a picture whose stored `size` is (width, height) in pixels, when the orientation
    it was stored in is undone.
    """
    root = _parse(packet)
    if root is None:
        return None
    left_out = STRUCTURE | (SUBJECT_PLACES if orientation != 1 else frozenset())
    try:
        turn_places(root, orientation, size)
    except (RecursionError, ValueError):
        return None
    return _without_of(root, lambda space, name: space in STRUCTURE_SPACES or (space, name) in left_out)


def without_gps(packet: bytes) -> bytes | None:
    """Take the coordinates out of a packet, wherever they stand; names of places stay."""
    return _without(packet, lambda space, name: space == EXIF and name.startswith("GPS"))


def with_properties(packet: bytes | None, values: Mapping[Property, str]) -> bytes:
    """Set simple properties; others of the packet stay, and the same ones are replaced."""
    root = (None if packet is None else _parse(packet)) or _parse(EMPTY.encode())
    assert root is not None
    ours = {(item.space, item.name) for item in values}
    about = ""
    for description in _descriptions(root):
        about = about or description.getAttributeNS(RDF, "about")
        _drop(description, lambda space, name: (space, name) in ours)
    home = _rdf(root)
    assert home is not None and home.ownerDocument is not None
    prefix = f"{home.prefix}:" if home.prefix else ""
    added = home.ownerDocument.createElementNS(RDF, f"{prefix}Description")
    added.setAttributeNS(RDF, f"{home.prefix or 'rdf'}:about", about)
    if not home.prefix:
        added.setAttribute("xmlns:rdf", RDF)
    for item, value in values.items():
        added.setAttribute(f"xmlns:{item.prefix}", item.space)
        element = home.ownerDocument.createElementNS(item.space, f"{item.prefix}:{item.name}")
        element.appendChild(home.ownerDocument.createTextNode(value))
        added.appendChild(element)
    home.appendChild(added)
    return _written(root)


def properties(packet: bytes) -> dict[tuple[str, str], str]:
    """Read the simple properties of a packet by (namespace, name); structures and lists are left out."""
    root = _parse(packet)
    found: dict[tuple[str, str], str] = {}
    for description in [] if root is None else _descriptions(root):
        for attribute in _attributes(description):
            if attribute.namespaceURI not in (None, RDF, "http://www.w3.org/2000/xmlns/"):
                found[attribute.namespaceURI, attribute.localName] = attribute.value
        for element in _elements(description):
            if not _elements(element):
                text = "".join(child.data for child in element.childNodes if child.nodeType == Node.TEXT_NODE)
                found[element.namespaceURI or "", element.localName] = text
    return found


def fit_xmp(packet: bytes, most: int) -> bytes | None:
    """Shorten a packet to `most` bytes by leaving out its longest properties first; `None` if that is not enough."""
    root = _parse(packet)
    if root is None:
        return None
    shorter = _written(root)
    places = [(node, item) for node in _descriptions(root) for item in (*_elements(node), *_own_attributes(node))]
    longest = sorted(places, key=lambda place: -len(place[1].toxml() if _is_element(place[1]) else place[1].value))
    for home, item in longest:
        if len(shorter) <= most:
            break
        if _is_element(item):
            home.removeChild(item)
        else:
            home.removeAttributeNode(item)
        shorter = _written(root)
    return shorter if len(shorter) <= most else None


Test = Callable[[str, str], bool]  # of a namespace and a name


def _without(packet: bytes, test: Test) -> bytes | None:
    root = _parse(packet)
    return None if root is None else _without_of(root, test)


def _without_of(root: Any, test: Test) -> bytes | None:
    try:
        _drop(root, test)
        is_empty = all(not _elements(node) and not _own_attributes(node) for node in _descriptions(root))
        return None if is_empty else _written(root)
    except RecursionError:
        return None


def _parse(packet: bytes) -> Any:
    """Return the root element; `None` for what is no XMP, or might be made to harm."""
    if len(packet) > MAX_BYTES:
        return None
    try:
        is_wide = packet.startswith((b"\xff\xfe", b"\xfe\xff"))
        text = packet.decode("utf-16" if is_wide else "utf-8").strip("\0\ufeff \n\r\t")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            return None
        root: Any = minidom.parseString(text.encode("utf-8")).documentElement
        root.toxml()  # too deep a nest, or a character that can't be written, shows here
    except (ExpatError, ValueError, RecursionError, AttributeError, IndexError):
        return None
    return root if _rdf(root) is not None else None


def _written(root: Any) -> bytes:
    body: str = root.toxml()
    if root.namespaceURI == RDF:  # some packets have no element around their RDF
        body = f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{body}</x:xmpmeta>'
    return f"{HEAD}\n{body}\n{TAIL}".encode()


def _rdf(root: Any) -> Any:
    if root is None:
        return None
    if root.namespaceURI == RDF and root.localName == "RDF":
        return root
    return next(iter(root.getElementsByTagNameNS(RDF, "RDF")), None)


def _descriptions(root: Any) -> list[Any]:
    home = _rdf(root)
    return [node for node in _elements(home) if node.namespaceURI == RDF and node.localName == "Description"]


def _is_element(node: Any) -> bool:
    return bool(node.nodeType == Node.ELEMENT_NODE)


def _elements(node: Any) -> list[Any]:
    return [child for child in node.childNodes if _is_element(child)]


def _attributes(node: Any) -> list[Any]:
    return list((node.attributes or {}).values())


def _own_attributes(node: Any) -> list[Any]:
    spaces = (None, RDF, "http://www.w3.org/2000/xmlns/")
    return [item for item in _attributes(node) if item.namespaceURI not in spaces]


def _drop(node: Any, test: Test) -> None:
    """Remove all elements and attributes below `node` that the test names."""
    for attribute in _own_attributes(node):
        if test(attribute.namespaceURI, attribute.localName):
            node.removeAttributeNode(attribute)
    for child in _elements(node):
        if test(child.namespaceURI or "", child.localName):
            node.removeChild(child)
        else:
            _drop(child, test)

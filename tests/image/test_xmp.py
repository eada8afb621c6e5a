import io
import re

import pytest
import torch
from PIL import Image

from keepface.image import xmp
from keepface.image.endings import FORMATS
from keepface.image.files import Photo, encode_photo, photo_from_bytes, without_gps

DC = "http://purl.org/dc/elements/1.1/"
OURS = xmp.Property("urn:test:1.0/", "test", "Said")
PLACES = {  # how each format marks the packet [XMP, part 3]
    "JPEG": b"http://ns.adobe.com/xap/1.0/\0<?xpacket",
    "PNG": b"iTXtXML:com.adobe.xmp\0\0\0\0\0<?xpacket",
    "WEBP": b"XMP ",
    "HEIF": b"application/rdf+xml",
    "AVIF": b"application/rdf+xml",
    "TIFF": b"\xbc\x02\x01\x00",  # tag 700 of type byte
}
PIXELS = torch.linspace(0, 1, 3 * 12 * 16).reshape(3, 12, 16)


def packet(inside: str = "", attributes: str = "") -> bytes:
    spaces = f'xmlns:exif="{xmp.EXIF}" xmlns:tiff="{xmp.TIFF}" xmlns:dc="{DC}" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    body = f'<rdf:Description rdf:about="" {spaces} {attributes}>{inside}</rdf:Description>'
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{xmp.RDF}">{body}</rdf:RDF></x:xmpmeta>'.encode()


TITLED = packet("<dc:title>Étreinte &amp; été</dc:title>", 'xmp:CreateDate="1954-06-01"')


@pytest.mark.parametrize("form", sorted(set(FORMATS.values())))
@pytest.mark.parametrize("bit_depth", [8, 16])
def test_properties_go_through_every_format_and_back(form: str, bit_depth: int) -> None:
    photo = Photo(PIXELS, bit_depth=bit_depth, xmp=xmp.with_properties(TITLED, {OURS: "a < b"}))
    data = encode_photo(photo, form)
    again = photo_from_bytes(data)
    assert again.xmp is not None and again.pixels.shape == PIXELS.shape
    found = xmp.properties(again.xmp)
    assert found[DC, "title"] == "Étreinte & été" and found[OURS.space, "Said"] == "a < b"
    assert found["http://ns.adobe.com/xap/1.0/", "CreateDate"] == "1954-06-01"
    assert PLACES[form] in data


def test_a_photo_without_a_packet_gets_none() -> None:
    for form in set(FORMATS.values()):
        assert photo_from_bytes(encode_photo(Photo(PIXELS), form)).xmp is None


def test_what_describes_the_old_file_is_left_out_and_the_rest_kept() -> None:
    inside = "<xmp:Thumbnails>OLDFACE</xmp:Thumbnails><dc:title>kept</dc:title>"
    more = '<note:HasExtendedXMP xmlns:note="http://ns.adobe.com/xmp/note/">F00D</note:HasExtendedXMP>'
    tidy = xmp.tidy(packet(inside + more, 'tiff:Orientation="6" exif:PixelXDimension="9" tiff:Make="Acme"'))
    assert tidy is not None
    assert xmp.properties(tidy) == {(DC, "title"): "kept", (xmp.TIFF, "Make"): "Acme"}
    assert b"OLDFACE" not in tidy and b"F00D" not in tidy
    assert xmp.tidy(packet(attributes='tiff:Orientation="6"')) is None


def test_a_property_set_twice_stands_once_with_its_last_value() -> None:
    once = xmp.with_properties(TITLED, {OURS: "first"})
    twice = xmp.with_properties(once, {OURS: "second"})
    assert twice.count(b"Said>") == 2 and b"first" not in twice  # one start and one end
    assert xmp.properties(twice)[OURS.space, "Said"] == "second"
    as_attribute = packet(attributes='xmlns:other="urn:test:1.0/" other:Said="old"')
    assert b"old" not in xmp.with_properties(as_attribute, {OURS: "new"})


def test_new_properties_are_said_about_what_the_others_are_said_about() -> None:
    named = TITLED.replace(b'rdf:about=""', b'rdf:about="uuid:1"')
    assert xmp.with_properties(named, {OURS: "x"}).count(b'rdf:about="uuid:1"') == 2


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"no xml",
        b"<x/>",
        TITLED[:-9],
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + TITLED,
        TITLED + b" " * xmp.MAX_BYTES,
        packet("<dc:title>" * 1200 + "</dc:title>" * 1200),
        b"\xff\xfe\x00",
    ],
)
def test_a_packet_that_is_damaged_or_might_do_harm_is_left_out(bad: bytes) -> None:
    assert xmp.tidy(bad) is None
    assert xmp.without_gps(bad) is None
    assert xmp.properties(bad) == {}
    assert xmp.properties(xmp.with_properties(bad, {OURS: "said"})) == {(OURS.space, "Said"): "said"}


def test_a_packet_of_bare_rdf_is_understood() -> None:
    bare = TITLED[TITLED.index(b"<rdf:RDF") : TITLED.index(b"</x:xmpmeta>")]
    tidy = xmp.tidy(bare)
    assert tidy is not None and xmp.properties(tidy) == xmp.properties(TITLED) and b"xmpmeta" in tidy


def test_a_packet_too_long_for_a_jpeg_loses_its_longest_property_and_no_other() -> None:
    long = packet(f"<dc:title>{'x' * 70_000}</dc:title><dc:source>kept</dc:source>")
    photo = Photo(PIXELS, xmp=xmp.with_properties(long, {OURS: "ours"}))
    again = photo_from_bytes(encode_photo(photo, "JPEG")).xmp
    assert again is not None and xmp.properties(again) == {(DC, "source"): "kept", (OURS.space, "Said"): "ours"}
    assert xmp.properties(photo_from_bytes(encode_photo(photo, "PNG")).xmp or b"")[DC, "title"] == "x" * 70_000
    assert xmp.fit_xmp(TITLED, 10) is None


def test_coordinates_are_stripped_from_exif_and_xmp_and_the_date_stays() -> None:
    exif = Image.Exif()
    exif[0x0132], exif[0x8769] = "2001:02:03 04:05:06", {0x9003: "2001:02:03 04:05:06"}
    exif[0x8825] = {1: "N", 2: (52.0, 30.0, 0.0)}
    where = packet("<dc:title>kept</dc:title>", 'exif:GPSLatitude="52,30N" exif:GPSLongitude="13,24E"')
    stripped = without_gps(Photo(PIXELS, exif=exif.tobytes(), xmp=where))
    for form in set(FORMATS.values()):
        again = photo_from_bytes(encode_photo(stripped, form))
        read = Image.Exif()
        read.load(again.exif or b"")
        assert dict(read.get_ifd(0x8825)) == {} and read[0x0132] == "2001:02:03 04:05:06"
        assert read.get_ifd(0x8769)[0x9003] == "2001:02:03 04:05:06"
        assert again.xmp is not None and xmp.properties(again.xmp) == {(DC, "title"): "kept"}
    assert without_gps(Photo(PIXELS)).exif is None


MWG = 'xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"'
SPACES = (
    f'{MWG} xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#" '
    'xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#" '
    'xmlns:MPReg="http://ns.microsoft.com/photo/1.2/t/Region#" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
)


def regions(x: str, y: str, w: str, h: str, size: tuple[int, int]) -> bytes:
    """Name a face as the Metadata Working Group, Microsoft and IPTC do, as attributes and as elements."""
    left, top = (f"{float(middle) - float(side) / 2:.3g}" for middle, side in ((x, w), (y, h)))
    area = f'<mwg-rs:Area stArea:x="{x}" stArea:y="{y}" stArea:w="{w}" stArea:h="{h}" stArea:unit="normalized"/>'
    applied = f'<mwg-rs:AppliedToDimensions stDim:w="{size[0]}" stDim:h="{size[1]}" stDim:unit="pixel"/>'
    corner = f"<Iptc4xmpExt:rbX>{left}</Iptc4xmpExt:rbX><Iptc4xmpExt:rbY>{top}</Iptc4xmpExt:rbY>"
    sides = f"<Iptc4xmpExt:rbW>{w}</Iptc4xmpExt:rbW><Iptc4xmpExt:rbH>{h}</Iptc4xmpExt:rbH>"
    boundary = f"<Iptc4xmpExt:RegionBoundary>{corner}{sides}</Iptc4xmpExt:RegionBoundary>"
    rectangle = f"<MPReg:Rectangle>{left}, {top}, {w}, {h}</MPReg:Rectangle>"
    return packet(f"<mwg-rs:Regions>{applied}{area}</mwg-rs:Regions>{rectangle}{boundary}", SPACES)


def placed(data: bytes) -> list[float]:
    """Return all numbers of a packet's places, in the order they stand in."""
    text = data.decode()
    found = re.findall(r'(?:stDim|stArea):[wxyh]="([^"]+)"|Rectangle>([^<]+)<|<Iptc4xmpExt:rb[XYWH]>([^<]+)<', text)
    return [float(number) for groups in found for number in "".join(groups).split(", ")]


@pytest.mark.parametrize(
    ("orientation", "x", "y"),  # of the middle of a face at 0.25, 0.1 of the stored picture, 0.1 wide and 0.2 high
    [(1, 0.25, 0.1), (2, 0.75, 0.1), (3, 0.75, 0.9), (4, 0.25, 0.9), (5, 0.1, 0.25), (6, 0.9, 0.25), (7, 0.9, 0.75)]
    + [(8, 0.1, 0.75)],
)
def test_faces_that_are_named_are_turned_with_the_picture(orientation: int, x: float, y: float) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    Image.new("RGB", (40, 30)).save(out, "JPEG", exif=exif, xmp=regions("0.25", "0.1", "0.1", "0.2", (40, 30)))
    again = photo_from_bytes(out.getvalue()).xmp
    w, h, size = (0.2, 0.1, (30, 40)) if orientation >= 5 else (0.1, 0.2, (40, 30))
    assert again is not None
    expected = [*size, x, y, w, h, *(x - w / 2, y - h / 2, w, h) * 2]
    assert sorted(placed(again)) == pytest.approx(sorted(expected), abs=1e-6)


def test_faces_that_were_named_in_the_upright_picture_stay() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    said = packet(
        '<mwg-rs:Regions><mwg-rs:AppliedToDimensions stDim:w="30" stDim:h="40"/>'
        '<mwg-rs:Area stArea:x="0.25" stArea:y="0.1"/></mwg-rs:Regions>',
        SPACES,
    )
    Image.new("RGB", (40, 30)).save(out, "JPEG", exif=exif, xmp=said)
    assert sorted(placed(photo_from_bytes(out.getvalue()).xmp or b"")) == [0.1, 0.25, 30, 40]

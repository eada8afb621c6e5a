"""Say in a network file where its pooling pads, so that every OpenCV pads there.

The cascade's networks were trained with pooling that pads behind the last pixel; their ONNX files write it as
`auto_pad = SAME_UPPER`. OpenCV 5.0 pads before the first pixel instead, which shifts every point by 1/48 of its box
down and to the right (measured: 6 % of the distance between the eyes). `pads` with numbers is read alike by all.

ONNX files are protocol buffers: a message is a row of (field number, wire type, payload); only three levels of it are
opened here, everything else is passed through byte for byte.
"""

from collections.abc import Callable, Iterator

MODEL_GRAPH, GRAPH_NODE, NODE_OP, NODE_ATTRIBUTE = 7, 1, 4, 5  # field numbers of onnx.proto
ATTRIBUTE_NAME, ATTRIBUTE_TEXT, ATTRIBUTE_INTS, ATTRIBUTE_TYPE = 1, 4, 8, 20
TYPE_INTS = 7  # AttributeProto.AttributeType.INTS
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types

Field = tuple[int, int, bytes]


def pad_behind(model: bytes) -> bytes:
    """Replace SAME_UPPER of the 3x3 poolings by one pixel behind, which is what it means for an even side.

    2x2 poolings of an even side need no padding; theirs is left alone.
    """
    return _within(model, MODEL_GRAPH, lambda graph: _within(graph, GRAPH_NODE, _node))


def fields(message: bytes) -> Iterator[Field]:
    """Go through a message; a payload is the bytes of the value without its length.

    Raises:
        ValueError: not a protocol buffer.
    """
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        number, wire = key >> 3, key & 7
        start = at
        if wire == VARINT:
            _, at = _read_varint(message, at)
        elif wire == BYTES:
            length, start = _read_varint(message, at)
            at = start + length
        elif wire in (FIXED64, FIXED32):
            at += 8 if wire == FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if at > len(message):
            raise ValueError(f"field {number} reaches beyond the end")
        yield number, wire, message[start:at]


def joined(parts: Iterator[Field]) -> bytes:
    """Write fields as a message; the inverse of `fields`."""
    result = bytearray()
    for number, wire, payload in parts:
        result += _varint(number << 3 | wire)
        if wire == BYTES:
            result += _varint(len(payload))
        result += payload
    return bytes(result)


def _within(message: bytes, field: int, change: Callable[[bytes], bytes]) -> bytes:
    return joined(
        (number, wire, change(payload) if number == field and wire == BYTES else payload)
        for number, wire, payload in fields(message)
    )


def _node(node: bytes) -> bytes:
    attributes = [dict(_plain(payload)) for number, _, payload in fields(node) if number == NODE_ATTRIBUTE]
    kernel = next((item.get(ATTRIBUTE_INTS) for item in attributes if item[ATTRIBUTE_NAME] == b"kernel_shape"), None)
    is_pooling = any(number == NODE_OP and payload == b"MaxPool" for number, _, payload in fields(node))
    if not is_pooling or kernel != b"\x03\x03":
        return node
    return _within(node, NODE_ATTRIBUTE, _attribute)


def _attribute(attribute: bytes) -> bytes:
    values = dict(_plain(attribute))
    if values[ATTRIBUTE_NAME] != b"auto_pad" or values.get(ATTRIBUTE_TEXT) != b"SAME_UPPER":
        return attribute
    behind = [(ATTRIBUTE_INTS, VARINT, _varint(pad)) for pad in (0, 0, 1, 1)]  # top, left, bottom, right
    return joined(iter([(ATTRIBUTE_NAME, BYTES, b"pads"), *behind, (ATTRIBUTE_TYPE, VARINT, _varint(TYPE_INTS))]))


def _plain(attribute: bytes) -> Iterator[tuple[int, bytes]]:
    """Gather an attribute's fields by number; repeated ones (a list that is not packed) are put end to end."""
    gathered: dict[int, bytes] = {}
    for number, _, payload in fields(attribute):
        gathered[number] = gathered.get(number, b"") + payload
    yield from gathered.items()


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message):
            raise ValueError("the message ends within a number")
        value |= (message[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if message[at - 1] < 0x80:
            return value, at


def _varint(value: int) -> bytes:
    result = bytearray()
    while value >= 0x80:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*result, value])

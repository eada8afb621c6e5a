"""Places in a picture that is turned upright: where a box lies afterwards."""

Box = tuple[float, float, float, float]  # left, top, width, height


def turned(box: Box, orientation: int, width: float = 1.0, height: float = 1.0) -> Box:
    """Return where a box of a stored picture lies when its EXIF orientation is undone. [Exif 2.32, tag 0x0112]

    `width` and `height` are the stored picture's, in the box's unit.
    """
    x, y, across, down = box
    if orientation >= 5:
        x, y, across, down, width, height = y, x, down, across, height, width
    if orientation in (2, 3, 6, 7):
        x = width - x - across
    if orientation in (3, 4, 7, 8):
        y = height - y - down
    return x, y, across, down

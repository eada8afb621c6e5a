"""How the page looks: warm paper, dark ink, one colour of brick; light and dark, with the fonts of the machine."""

from pathlib import Path
from typing import Any, Literal

Shade = Literal["light", "dark"]

STYLE_SHEET = Path(__file__).with_name("look.css")
FONT = ("ui-sans-serif", "system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
FONT_MONO = ("ui-monospace", "Consolas", "Menlo", "monospace")

PALETTE: dict[str, dict[Shade, str]] = {
    "paper": {"light": "#faf5ee", "dark": "#1b1714"},  # behind everything
    "card": {"light": "#fffdfa", "dark": "#262019"},  # what lies on it
    "sunk": {"light": "#f5ede2", "dark": "#1f1a15"},  # fields, tracks
    "line": {"light": "#e4d8c8", "dark": "#443a30"},
    "edge": {"light": "#8f8170", "dark": "#8d7f70"},  # of what can be filled in or pressed
    "ink": {"light": "#2a231d", "dark": "#f4ebe0"},
    "soft": {"light": "#66594c", "dark": "#c6b8a8"},  # what is said beside
    "accent": {"light": "#8f4326", "dark": "#efab88"},
    "accent_hover": {"light": "#743418", "dark": "#f6c2a6"},
    "on_accent": {"light": "#ffffff", "dark": "#2a1408"},
    "accent_wash": {"light": "#f7e6da", "dark": "#432a1d"},
    "good": {"light": "#255c40", "dark": "#9ad7b3"},
    "good_wash": {"light": "#e0efe4", "dark": "#1e382a"},
    "warn": {"light": "#754c00", "dark": "#f2cb80"},
    "warn_wash": {"light": "#fbefd2", "dark": "#3f3218"},
    "bad": {"light": "#932424", "dark": "#f5aca4"},
    "bad_wash": {"light": "#fae3df", "dark": "#482421"},
    "from_photo": {"light": "#8b8178", "dark": "#a59a8f"},  # the three sources of a picture
    "from_references": {"light": "#0072b2", "dark": "#56a8dc"},
    "invented": {"light": "#d55e00", "dark": "#f08a3c"},
}
# What is read on what: text needs a contrast of 4.5, the edges of fields and the parts of a chart 3 [WCAG 2.2, 1.4].
TEXT_PAIRS = (
    *((text, ground) for text in ("ink", "soft", "accent") for ground in ("paper", "card", "sunk")),
    *((text, f"{text}_wash") for text in ("good", "warn", "bad", "accent")),
    ("ink", "accent_wash"),
    ("on_accent", "accent"),
    ("on_accent", "accent_hover"),
)
PART_PAIRS = tuple((part, "card") for part in ("edge", "from_photo", "from_references", "invented"))

_FILLED = {  # the names that Gradio's theme gives to what we have a colour for
    "body_background_fill": "paper",
    "background_fill_primary": "card",
    "background_fill_secondary": "sunk",
    "body_text_color": "ink",
    "body_text_color_subdued": "soft",
    "border_color_primary": "line",
    "border_color_accent": "accent",
    "color_accent_soft": "accent_wash",
    "block_background_fill": "card",
    "block_border_color": "line",
    "block_info_text_color": "soft",
    "block_label_background_fill": "card",
    "block_label_text_color": "soft",
    "block_label_border_color": "line",
    "block_title_text_color": "ink",
    "panel_background_fill": "card",
    "panel_border_color": "line",
    "accordion_text_color": "ink",
    "input_background_fill": "card",
    "input_background_fill_focus": "card",
    "input_border_color": "edge",
    "input_border_color_focus": "accent",
    "input_placeholder_color": "soft",
    "link_text_color": "accent",
    "link_text_color_hover": "accent_hover",
    "link_text_color_visited": "accent",
    "link_text_color_active": "accent_hover",
    "loader_color": "accent",
    "slider_color": "accent",
    "stat_background_fill": "accent",
    "table_even_background_fill": "card",
    "table_odd_background_fill": "sunk",
    "table_border_color": "line",
    "table_text_color": "ink",
    "error_background_fill": "bad_wash",
    "error_border_color": "bad",
    "error_text_color": "bad",
    "error_icon_color": "bad",
    "button_primary_background_fill": "accent",
    "button_primary_background_fill_hover": "accent_hover",
    "button_primary_border_color": "accent",
    "button_primary_border_color_hover": "accent_hover",
    "button_primary_text_color": "on_accent",
    "button_primary_text_color_hover": "on_accent",
    "button_secondary_background_fill": "card",
    "button_secondary_background_fill_hover": "accent_wash",
    "button_secondary_border_color": "edge",
    "button_secondary_border_color_hover": "accent",
    "button_secondary_text_color": "ink",
    "button_secondary_text_color_hover": "ink",
    "button_cancel_background_fill": "card",
    "button_cancel_background_fill_hover": "bad_wash",
    "button_cancel_border_color": "bad",
    "button_cancel_border_color_hover": "bad",
    "button_cancel_text_color": "bad",
    "button_cancel_text_color_hover": "bad",
    "checkbox_background_color": "card",
    "checkbox_background_color_hover": "accent_wash",
    "checkbox_background_color_focus": "card",
    "checkbox_background_color_selected": "accent",
    "checkbox_border_color": "edge",
    "checkbox_border_color_hover": "accent",
    "checkbox_border_color_focus": "accent",
    "checkbox_border_color_selected": "accent",
    "checkbox_label_background_fill": "card",
    "checkbox_label_background_fill_hover": "accent_wash",
    "checkbox_label_background_fill_selected": "accent_wash",
    "checkbox_label_border_color": "line",
    "checkbox_label_border_color_hover": "accent",
    "checkbox_label_border_color_selected": "accent",
    "checkbox_label_text_color": "ink",
    "checkbox_label_text_color_selected": "ink",
}
_PLAIN = {  # sizes and shadows
    "block_border_width": "1px",
    "block_shadow": "none",
    "block_label_text_size": "*text_md",
    "block_info_text_size": "*text_md",
    "block_title_text_weight": "600",
    "block_label_text_weight": "500",
    "button_border_width": "1px",
    "button_large_radius": "10px",
    "button_medium_radius": "10px",
    "button_primary_shadow": "none",
    "button_secondary_shadow": "none",
    "input_border_width": "1px",
    "input_shadow": "none",
    "checkbox_label_border_width": "1px",
    "checkbox_label_shadow": "none",
    "panel_border_width": "1px",
}


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours (#rrggbb), 1 to 21. [WCAG 2.2, relative luminance]"""
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def theme() -> Any:
    """Return Gradio's theme in these colours."""
    import gradio

    plain = gradio.themes.Base(
        primary_hue="orange",
        neutral_hue="stone",
        text_size="md",
        radius_size="lg",
        font=FONT,
        font_mono=FONT_MONO,
    )
    light = {name: PALETTE[colour]["light"] for name, colour in _FILLED.items()}
    dark = {f"{name}_dark": PALETTE[colour]["dark"] for name, colour in _FILLED.items()}
    accents = {"color_accent": PALETTE["accent"]["light"]}
    return plain.set(**light, **dark, **accents, **_PLAIN)


def css() -> str:
    """Return the page's own style sheet, with the palette as variables."""
    blocks = [_variables(":root", "light"), _variables(".dark", "dark")]
    return "\n".join([*blocks, STYLE_SHEET.read_text(encoding="utf-8")])


def _variables(where: str, shade: Shade) -> str:
    lines = [f"  --kf-{name.replace('_', '-')}: {shades[shade]};" for name, shades in PALETTE.items()]
    return "\n".join([f"{where} {{", *lines, "}"])

"""Heat maps over frames: where a read went, as one picture to look at."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from stm_jax.infer.attention import Attention
from stm_jax.report.overlay import bright_palette, outline

# Lightness, chroma and hue (degrees) in OKLab (Ottosson, 2020). Lightness grows evenly, so that
# equal steps of the scale look alike, also in grey and to those who do not see all colours.
ANCHORS = np.array(
    [(0.16, 0.05, 285), (0.34, 0.13, 300), (0.52, 0.19, 355), (0.70, 0.165, 410), (0.88, 0.14, 455)]
)
MOST = 24  # memory frames on a sheet
PANEL, QUERY = 300, 520  # widths of pictures
MARGIN, GAP, CAPTION = 24, 14, 26
HEADER = 74
BACKGROUND, INK, FAINT = (255, 255, 255), (24, 27, 33), (104, 110, 120)
BAR = (226, 228, 233)


@dataclasses.dataclass(frozen=True)
class Sheet:
    """What is drawn around one object's weights.

    Attributes:
        attention: Where the read went.
        index: Of the object, in the weights.
        object_id: Its id.
        pixel: Row and column that was asked for.
        frame_number: Of the frame that asked.
        pictures: The frames by number, that one and those in memory, all of one size.
        ids: Their masks.
    """

    attention: Attention
    index: int
    object_id: int
    pixel: tuple[int, int]
    frame_number: int
    pictures: Mapping[int, UInt8[np.ndarray, "h w 3"]]
    ids: Mapping[int, UInt8[np.ndarray, "h w"]]

    def draw(self) -> Image.Image:
        """Returns the frame with its pixel marked, and beside it the memory with heat maps.

        The frames that were read most are shown, at most `MOST`, by time. A colour stands for
        the weight of one memory position; one scale holds for all frames, and goes with the
        square root, for a softmax has a few large weights.
        """
        weights = self.attention.weights[self.index]
        shares = weights.sum(axis=(1, 2))
        numbers = self.attention.frame_numbers
        slots = self.slots()
        columns = next(c for c in (1, 2, 3, 4) if len(slots) <= c * (c + 1) or c == 4)
        height, width = self.pictures[self.frame_number].shape[:2]
        panel_height, query_height = (max(1, round(w * height / width)) for w in (PANEL, QUERY))
        rows = max(1, -(-len(slots) // columns))
        right = MARGIN + QUERY + 2 * GAP
        sheet_width = right + columns * (PANEL + GAP) - GAP + MARGIN
        left_height = query_height + CAPTION + 74
        right_height = rows * (panel_height + CAPTION + GAP) - GAP
        size = sheet_width, HEADER + max(left_height, right_height) + MARGIN
        sheet = Image.new("RGB", size, BACKGROUND)
        draw = ImageDraw.Draw(sheet)

        title = f"Where frame {self.frame_number} looks"
        draw.text((MARGIN, 16), title, INK, ImageFont.load_default(24))
        row, column = self.pixel
        line = f"object {self.object_id}, from the pixel at row {row}, column {column}"
        draw.text((MARGIN, 46), line, FAINT, ImageFont.load_default(14))

        sheet.paste(self._query((QUERY, query_height)), (MARGIN, HEADER))
        below = HEADER + query_height
        caption = f"frame {self.frame_number}"
        draw.text((MARGIN, below + 5), caption, INK, ImageFont.load_default(14))
        left_out = int((numbers >= 0).sum()) - len(slots)
        if left_out:
            rest = 1 - shares[slots].sum() / max(shares.sum(), 1e-9)
            text = f"{left_out} more frames in memory: {_percent(rest)}"
            draw.text((MARGIN + QUERY, below + 5), text, FAINT, ImageFont.load_default(14), "ra")
        highest = float(weights.max())
        _legend(sheet, (MARGIN, below + CAPTION + 14), highest)

        for place, slot in enumerate(slots):
            left = right + place % columns * (PANEL + GAP)
            top = HEADER + place // columns * (panel_height + CAPTION + GAP)
            number = int(numbers[slot])
            panel = self._panel(number, weights[slot], highest, (PANEL, panel_height))
            sheet.paste(panel, (left, top))
            under = top + panel_height
            draw.rectangle((left, under + 1, left + PANEL - 1, under + 3), BAR)
            if shares[slot] > 0:
                end = left + max(1, round(float(shares[slot]) * PANEL)) - 1
                draw.rectangle((left, under + 1, end, under + 3), INK)
            font = ImageFont.load_default(14)
            draw.text((left, under + 7), f"frame {number}", INK, font)
            text = _percent(float(shares[slot]))
            draw.text((left + PANEL, under + 7), text, INK, font, "ra")
        return sheet

    def slots(self) -> list[int]:
        """Returns the slots that are shown: those that were read most, by time."""
        numbers = self.attention.frame_numbers
        shares = self.attention.weights[self.index].sum(axis=(1, 2))
        filled = np.flatnonzero(numbers >= 0)
        most = filled[np.argsort(-shares[filled], kind="stable")][:MOST]
        return sorted(most.tolist(), key=lambda slot: numbers[slot])

    def _query(self, size: tuple[int, int]) -> Image.Image:
        frame, ids = self.pictures[self.frame_number], self.ids[self.frame_number]
        picture = frame.copy()
        edge = outline(ids)
        picture[edge] = bright_palette()[ids[edge]]
        image = Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
        x, y = self._place(size)
        draw = ImageDraw.Draw(image)
        # Dark around light: seen on any picture.
        for width, colour in ((5, (0, 0, 0)), (2, (255, 255, 255))):
            draw.ellipse((x - 9, y - 9, x + 9, y + 9), outline=colour, width=width)
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                draw.line((x + 9 * dx, y + 9 * dy, x + 18 * dx, y + 18 * dy), colour, width)
        return image

    def _panel(
        self, number: int, weights: Float[np.ndarray, "h16 w16"], highest: float, size
    ) -> Image.Image:
        frame, ids = self.pictures[number], self.ids[number]
        grey = Image.fromarray(frame).convert("L").resize(size, Image.Resampling.LANCZOS)
        plane = np.sqrt(weights / max(highest, 1e-30)).astype(np.float32)
        box = self.attention.frame_box
        smooth = Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR, box=box)
        heat = np.clip(np.asarray(smooth), 0, 1)
        share = np.clip(heat * 2.2, 0, 0.88)[..., None]
        under = 0.42 * np.asarray(grey, np.float32)[..., None] * np.ones(3, np.float32)
        mixed = (1 - share) * under + share * heat_colours(heat)
        edge = outline(np.asarray(Image.fromarray(ids).resize(size, Image.Resampling.NEAREST)))
        mixed[edge] = 0.45 * mixed[edge] + 0.55 * 215
        image = Image.fromarray(mixed.astype(np.uint8))
        x, y = self._place(size)
        ImageDraw.Draw(image).ellipse((x - 3, y - 3, x + 3, y + 3), outline=(255, 255, 255))
        return image

    def _place(self, size: tuple[int, int]) -> tuple[float, float]:
        """Returns where the pixel is in a picture of a frame of this width and height."""
        height, width = self.pictures[self.frame_number].shape[:2]
        return (self.pixel[1] + 0.5) * size[0] / width, (self.pixel[0] + 0.5) * size[1] / height


def heat_colours(heat: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape 3"]:
    """Returns colours from dark violet at 0 by red to light yellow at 1."""
    table = np.clip(np.rint(255 * _table()), 0, 255).astype(np.uint8)
    return table[np.rint(255 * np.clip(heat, 0, 1)).astype(int)]


def _table() -> Float[np.ndarray, "256 3"]:
    """Returns 256 colours as sRGB from 0 to 1, not clipped."""
    at = np.linspace(0, len(ANCHORS) - 1, 256)
    lightness, chroma, hue = (np.interp(at, range(len(ANCHORS)), c) for c in ANCHORS.T)
    a, b = chroma * np.cos(np.radians(hue)), chroma * np.sin(np.radians(hue))
    lms = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ]
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = (to_rgb @ lms**3).T
    bent = 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, bent)


def _legend(sheet: Image.Image, corner: tuple[int, int], highest: float) -> None:
    left, top = corner
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    draw.text((left, top), "share of the attention that a single position received", FAINT, font)
    ramp = np.broadcast_to(np.linspace(0, 1, QUERY), (12, QUERY))
    sheet.paste(Image.fromarray(heat_colours(ramp)), (left, top + 20))
    for part, anchor in ((0.0, "la"), (0.25, "ma"), (0.5, "ma"), (0.75, "ma"), (1.0, "ra")):
        text = f"{100 * part**2 * highest:.2g} %"
        draw.text((left + part * QUERY, top + 36), text, INK, font, anchor)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.0005 or share == 0 else "< 0.1 %"

"""The raster's inner loops as machine code, compiled by numba (LLVM); importing this module compiles, or reads what was
compiled before. ``raster`` says what they do and has the same in numpy.
"""

from __future__ import annotations

from mmstudio.explore.machine_code import compiled

_SPLAT = ("void(float32[:, ::1], uint16[::1], uint8[::1], int64[::1], int64[::1], int64, float64, float64, float64,"
          "int64[:, ::1], uint8[:, :, ::1], int64[:, :, :, ::1])")
_SHADE = "void(int64[:, :, ::1], float32[::1], uint32[:, ::1])"


@compiled(_SPLAT)
def splat(places, codes, shapes, firsts, lasts, step, left, top, scale, palette, masks, sums):  # type: ignore[no-untyped-def]
    height, width, side = sums.shape[1], sums.shape[2], masks.shape[1]
    half = side // 2
    for run in range(len(firsts)):
        for i in range(firsts[run] + (-firsts[run]) % step, lasts[run], step):
            fx, fy = (places[i, 0] - left) * scale, (top - places[i, 1]) * scale
            if not (fx >= -half and fx < width + half and fy >= -half and fy < height + half):
                continue
            code = codes[i]
            first, second, layer = palette[code, 0], palette[code, 1], palette[code, 2]
            if first == 0:
                continue
            x, y = int(fx + half) - half, int(fy + half) - half
            if side == 1:
                sums[layer, y, x, 0] += first
                sums[layer, y, x, 1] += second
                continue
            shape = shapes[i]
            for row in range(max(0, half - y), min(side, height + half - y)):
                for column in range(max(0, half - x), min(side, width + half - x)):
                    share = masks[shape, row, column]
                    sums[layer, y + row - half, x + column - half, 0] += share * first
                    sums[layer, y + row - half, x + column - half, 1] += share * second


@compiled(_SHADE)
def shade(sums, opacities, out):  # type: ignore[no-untyped-def]
    most = len(opacities) - 1
    for y in range(sums.shape[0]):
        for x in range(sums.shape[1]):
            first = sums[y, x, 0]
            if first == 0:
                continue
            second, under = sums[y, x, 1], int(out[y, x])
            weight = first >> 32
            opacity = opacities[min(weight, most)]
            share, rest = opacity / weight, 1 - opacity
            red = int(((under >> 16) & 255) * rest + (first & 0xFFFFFFFF) * share + 0.5)
            green = int(((under >> 8) & 255) * rest + (second >> 32) * share + 0.5)
            blue = int((under & 255) * rest + (second & 0xFFFFFFFF) * share + 0.5)
            out[y, x] = 0xFF000000 | (red << 16) | (green << 8) | blue
            sums[y, x, 0] = 0
            sums[y, x, 1] = 0

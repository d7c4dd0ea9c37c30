"""Sound: any file libsndfile or FFmpeg reads, streamed as mono float32 at the rate that is asked for."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import MediaError, UnreadableMedia
from mmstudio.media.container import broken, decodable, open_container
from mmstudio.media.sniff import is_mpeg_audio, read_head

Samples = NDArray[np.float32]
BLOCK_SAMPLES = 1 << 17
"""Samples of all channels together that are decoded at once."""
RATES_HZ = range(100, 1_000_001)
"""What a sound's header may claim as its rate; a resampler for anything else would need memory without bound."""
PEAK_BINS = 240


def blocks(path: Path, rate_hz: int = 0) -> Iterator[tuple[Samples, int]]:
    """Stream ``(samples (n,) float32 mono, rate_hz)``; ``rate_hz`` 0 keeps the file's own rate.

    Raises UnreadableMedia where the file cannot be decoded, holds no samples, or holds NaN or infinity.
    """
    seen = 0
    for samples, rate in _resampled(_sound(path), rate_hz):
        seen += len(samples)
        if len(samples):
            yield samples, rate
    if not seen:
        raise UnreadableMedia("The sound holds no samples.", path=path)


def _sound(path: Path) -> Iterator[tuple[Samples, int]]:
    """What is decoded, refused where it is no sound."""
    for samples, rate in _decoded(path):
        if rate not in RATES_HZ:
            raise UnreadableMedia(f"The sound claims a rate of {rate:,} Hz.", path=path)
        if not np.isfinite(samples).all():
            raise UnreadableMedia("The sound holds samples that are not numbers (NaN or infinity).", path=path)
        yield samples, rate


def _resampled(source: Iterator[tuple[Samples, int]], rate_hz: int) -> Iterator[tuple[Samples, int]]:
    import soxr

    stream: Any = None
    for samples, rate in source:
        if not rate_hz or rate == rate_hz:
            yield samples, rate
            continue
        stream = stream or soxr.ResampleStream(rate, rate_hz, 1, dtype="float32")
        yield stream.resample_chunk(samples), rate_hz
    if stream is not None:
        yield stream.resample_chunk(np.zeros(0, np.float32), last=True), rate_hz


def _decoded(path: Path) -> Iterator[tuple[Samples, int]]:
    """Decode by libsndfile, and by FFmpeg what libsndfile does not know. MP3 goes to FFmpeg at once: libsndfile's
    decoder writes its warnings about broken files to stderr.
    """
    import soundfile

    if is_mpeg_audio(read_head(path, 4)):
        yield from _decoded_by_ffmpeg(path)
        return
    try:
        file = soundfile.SoundFile(os.fsencode(path))
    except (soundfile.LibsndfileError, OSError, TypeError):
        yield from _decoded_by_ffmpeg(path)
        return
    with file:
        frames = max(1, BLOCK_SAMPLES // file.channels)
        try:
            while len(block := file.read(frames, dtype="float32", always_2d=True)):
                yield block.mean(axis=1, dtype=np.float32), int(file.samplerate)
        except (soundfile.LibsndfileError, OSError, MemoryError) as error:
            raise broken("sound", error, path) from error


def _decoded_by_ffmpeg(path: Path) -> Iterator[tuple[Samples, int]]:
    import av

    try:
        with open_container(path) as container:
            stream = decodable(list(container.streams.audio), "sound", path)
            planar = av.AudioResampler(format="fltp")  # FFmpeg's own mix to mono is louder: 0.7 of each channel
            for frame in container.decode(stream):
                for piece in planar.resample(frame):
                    yield piece.to_ndarray().mean(axis=0, dtype=np.float32), int(piece.sample_rate)
    except MediaError:
        raise
    except (av.FFmpegError, OSError, ValueError, ArithmeticError, MemoryError) as error:
        raise broken("sound", error, path) from error


def windows(path: Path, rate_hz: int, seconds: float, most: int = 32) -> list[Samples]:
    """Windows of ``seconds`` spread evenly over the whole sound, at most ``most``, in bounded memory.

    A sound no longer than one window gives itself. While streaming, whenever twice ``most`` windows are held every
    second one is dropped and the stride doubles, so the length need not be known beforehand. The last window is
    dropped where it is shorter than half of the others.
    """
    size = max(1, round(seconds * rate_hz))
    kept: list[Samples] = []
    stride, index, rest = 1, 0, np.zeros(0, np.float32)
    for samples, _ in blocks(path, rate_hz):
        rest = np.concatenate([rest, samples]) if len(rest) else samples
        while len(rest) >= size:
            if index % stride == 0:
                kept.append(rest[:size].copy())
            rest = rest[size:]
            index += 1
            if len(kept) >= 2 * most:
                kept, stride = kept[::2], stride * 2
    if not kept or (index % stride == 0 and len(rest) >= size / 2):
        kept.append(rest.copy())
    step = math.ceil(len(kept) / most)
    return kept[::step]


def read(path: Path, rate_hz: int = 0, max_seconds: float = math.inf) -> tuple[Samples, int]:
    """The first ``max_seconds`` as ``(samples (n,) float32 mono, rate_hz)``."""
    pieces: list[Samples] = []
    length, rate = 0, rate_hz
    for samples, rate in blocks(path, rate_hz):
        pieces.append(samples)
        length += len(samples)
        if length >= max_seconds * rate:
            break
    joined = np.concatenate(pieces)
    return joined if math.isinf(max_seconds) else joined[: int(max_seconds * rate)], rate


def survey(path: Path) -> tuple[NDArray[np.float32], float, int]:
    """One streaming pass: ``(peaks (PEAK_BINS, 2) float32 lowest and highest, duration_s, rate_hz)``.

    Peaks are first taken over short hops and folded in pairs whenever they outgrow the table: bounded memory.
    """
    lows: list[float] = []
    highs: list[float] = []
    hop, rest, total, rate = 64, np.zeros(0, np.float32), 0, 1
    for samples, rate in blocks(path):  # noqa: B007 - the last rate is used after the loop
        total += len(samples)
        rest = np.concatenate([rest, samples])
        whole = len(rest) // hop * hop
        table = rest[:whole].reshape(-1, hop)
        lows.extend(table.min(axis=1).tolist())
        highs.extend(table.max(axis=1).tolist())
        rest = rest[whole:]
        while len(lows) > 16 * PEAK_BINS:
            half = len(lows) // 2 * 2
            spare = (lows[half:], highs[half:])
            lows = np.minimum(lows[:half:2], lows[1:half:2]).tolist() + spare[0]
            highs = np.maximum(highs[:half:2], highs[1:half:2]).tolist() + spare[1]
            hop *= 2
            if spare[0]:
                odd = np.full(hop // 2, spare[0][0], np.float32)
                odd[-1] = spare[1][0]
                rest = np.concatenate([odd, rest])
                lows.pop()
                highs.pop()
    if len(rest):
        lows.append(float(rest.min()))
        highs.append(float(rest.max()))
    return fold_peaks(np.array(lows, np.float32), np.array(highs, np.float32)), total / rate, rate


def fold_peaks(lows: Samples, highs: Samples) -> NDArray[np.float32]:
    """``(PEAK_BINS, 2)`` float32 from any number of fine peaks."""
    edges = np.linspace(0, len(lows), PEAK_BINS + 1)
    starts = np.minimum(edges[:-1].astype(int), len(lows) - 1)
    ends = np.maximum(edges[1:].astype(int), starts + 1)
    return np.array([(lows[a:b].min(), highs[a:b].max()) for a, b in zip(starts, ends, strict=True)], np.float32)


def peaks_of(samples: Samples) -> NDArray[np.float32]:
    """``(PEAK_BINS, 2)`` lowest and highest of samples in memory."""
    return fold_peaks(samples, samples) if len(samples) else np.zeros((PEAK_BINS, 2), np.float32)

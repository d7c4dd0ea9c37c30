"""Twenty-five synthesised sounds, each tied to a concept by name: what a bell, rain or a frog sounds like, roughly.

Every function takes a random generator and returns mono float32 at 16 kHz; pitch, tempo and timbre differ each time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

RATE = 16_000
Maker = Callable[[np.random.Generator, int], np.ndarray]
SOUNDS: dict[str, Maker] = {}


def sound(concept: str) -> Callable[[Maker], Maker]:
    """Registers a maker for the concept of that name."""

    def register(maker: Maker) -> Maker:
        SOUNDS[concept] = maker
        return maker

    return register


def time_axis(n: int) -> np.ndarray:
    """Seconds of n samples."""
    return np.arange(n) / RATE


def tone(pitch_hz: np.ndarray | float, n: int, partials: list[float] | np.ndarray) -> np.ndarray:
    """Harmonics 1, 2, ... of a (possibly moving) pitch with the given strengths."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(pitch_hz, n)) / RATE
    return np.asarray(sum(a * np.sin((k + 1) * phase) for k, a in enumerate(partials)))


def coloured_noise(rng: np.random.Generator, n: int, low_hz: float, high_hz: float, tilt: float = 0.0) -> np.ndarray:
    """Gaussian noise between two frequencies, falling with frequency to the power `tilt`."""
    spectrum = np.fft.rfft(rng.normal(0, 1, n))
    hertz = np.fft.rfftfreq(n, 1 / RATE)
    spectrum *= ((hertz > low_hz) & (hertz < high_hz)) * np.maximum(hertz, 20.0) ** -tilt
    noise = np.fft.irfft(spectrum, n)
    return np.asarray(noise / (np.abs(noise).max() + 1e-9))


def decay(n: int, seconds: float) -> np.ndarray:
    """Exponential fade of the given time constant with a soft start."""
    t = time_axis(n)
    return np.asarray(np.exp(-t / seconds) * np.minimum(1, t / 0.004))


def placed(pieces: list[tuple[float, np.ndarray]], n: int) -> np.ndarray:
    """Pieces added at their start times in seconds."""
    out = np.zeros(n)
    for start, piece in pieces:
        first = int(start * RATE)
        if first < n:
            out[first : first + len(piece)] += piece[: n - first]
    return out


def repeated(rng: np.random.Generator, n: int, gap: float, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Pieces about `gap` seconds apart."""
    starts = np.cumsum(np.r_[rng.uniform(0, gap / 2), gap * rng.uniform(0.85, 1.15, int(n / RATE / gap) + 1)])
    return placed([(float(s), make()) for s in starts], n)


@sound("bell")
def bell(rng: np.random.Generator, n: int) -> np.ndarray:
    pitch = rng.uniform(350, 900)

    def strike() -> np.ndarray:
        ratios, t = (0.5, 1.0, 1.19, 1.5, 2.0, 2.74, 3.76), time_axis(n)
        return np.asarray(sum(np.exp(-t * r * 1.6) * np.sin(2 * np.pi * pitch * r * t) / (1 + r) for r in ratios))

    return repeated(rng, n, rng.uniform(0.7, 1.5), strike)


@sound("police car")
def siren(rng: np.random.Generator, n: int) -> np.ndarray:
    sweep = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.4, 3.0) * time_axis(n) + rng.uniform(0, 6))
    return tone(rng.uniform(500, 700) + rng.uniform(500, 900) * sweep, n, [1, 0.4, 0.3, 0.1])


@sound("cloud with rain")
def rain(rng: np.random.Generator, n: int) -> np.ndarray:
    base = coloured_noise(rng, n, 600, 7800, rng.uniform(0, 0.4)) * 0.4

    def drop() -> np.ndarray:
        return rng.uniform(0.1, 0.5) * coloured_noise(rng, 320, 1500, 7500) * decay(320, 0.004)

    return base + repeated(rng, n, rng.uniform(0.015, 0.05), drop)


@sound("motorcycle")
def motorcycle(rng: np.random.Generator, n: int) -> np.ndarray:
    revs = rng.uniform(35, 70) * (1 + rng.uniform(0.1, 0.7) * np.sin(np.pi * time_axis(n) / (n / RATE)))
    rough = tone(revs, n, [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.3, 0.25, 0.2, 0.2])
    return np.asarray(np.tanh(1.2 * rough) + 0.15 * coloured_noise(rng, n, 80, 3000, 0.5))


@sound("bird")
def bird(rng: np.random.Generator, n: int) -> np.ndarray:
    low, trill = rng.uniform(2200, 3800), rng.uniform(15, 40)

    def chirp() -> np.ndarray:
        m = int(RATE * rng.uniform(0.06, 0.18))
        slide = np.linspace(rng.uniform(0, 900), rng.uniform(0, 1600), m)
        wobble = 250 * np.sin(2 * np.pi * trill * time_axis(m))
        return tone(low + slide + wobble, m, [1, 0.15]) * np.hanning(m)

    return repeated(rng, n, rng.uniform(0.14, 0.4), chirp)


@sound("alarm clock")
def alarm_clock(rng: np.random.Generator, n: int) -> np.ndarray:
    pitch, t = rng.uniform(1500, 2600), time_axis(n)
    beeps = (np.mod(t * rng.uniform(7, 12), 1) < 0.5) & (np.mod(t / rng.uniform(0.7, 1.1), 1) < 0.62)
    return np.asarray(np.sign(np.sin(2 * np.pi * pitch * t)) * beeps)


def plucked(rng: np.random.Generator, pitch_hz: float, n: int, brightness: float) -> np.ndarray:
    """A plucked string: a noisy loop averaged each turn (Karplus & Strong 1983), computed one turn at a time."""
    loop = rng.uniform(-1, 1, int(RATE / pitch_hz))
    turns = []
    for _ in range(n // len(loop) + 1):
        turns.append(loop)
        loop = 0.996 * ((1 - brightness / 2) * loop + brightness / 2 * np.roll(loop, 1))
    return np.concatenate(turns)[:n]


@sound("guitar")
def guitar(rng: np.random.Generator, n: int) -> np.ndarray:
    root = rng.uniform(90, 220)
    chord = root * 2 ** (np.array([0, 4, 7, 12, 16]) / 12)
    gap = rng.uniform(0.12, 0.35)
    return placed(
        [(i * gap, plucked(rng, float(rng.choice(chord)), n, 1.0)) for i in range(int(n / RATE / gap) + 1)], n
    )


@sound("drum")
def drum(rng: np.random.Generator, n: int) -> np.ndarray:
    deep = rng.uniform(70, 160)

    def hit() -> np.ndarray:
        m = RATE // 3
        skin = tone(deep * (1 + np.exp(-time_axis(m) / 0.03)), m, [1, 0.2]) * decay(m, 0.09)
        return rng.uniform(0.5, 1) * (skin + 0.3 * coloured_noise(rng, m, 200, 4000, 0.3) * decay(m, 0.02))

    return repeated(rng, n, rng.uniform(0.17, 0.5), hit)


def melody(rng: np.random.Generator, n: int, low: float, note: Callable[[float, int], np.ndarray]) -> np.ndarray:
    """Notes of a major scale, one after another."""
    gap = rng.uniform(0.22, 0.5)
    steps = np.array([0, 2, 4, 5, 7, 9, 11, 12])
    count, length = int(n / RATE / gap) + 1, int(gap * RATE * 1.05)
    return placed([(i * gap, note(low * 2 ** (float(rng.choice(steps)) / 12), length)) for i in range(count)], n)


@sound("violin")
def violin(rng: np.random.Generator, n: int) -> np.ndarray:
    def note(pitch: float, m: int) -> np.ndarray:
        vibrato = 1 + 0.012 * np.sin(2 * np.pi * rng.uniform(5, 7) * time_axis(m))
        swell = np.minimum(1, time_axis(m) / 0.09) * np.minimum(1, time_axis(m)[::-1] / 0.05)
        return tone(pitch * vibrato, m, 1 / np.arange(1, 15) * rng.uniform(0.7, 1, 14)) * swell

    return melody(rng, n, rng.uniform(290, 520), note) + 0.03 * coloured_noise(rng, n, 2000, 7000)


@sound("trumpet")
def trumpet(rng: np.random.Generator, n: int) -> np.ndarray:
    def note(pitch: float, m: int) -> np.ndarray:
        t = time_axis(m)
        bright = np.exp(-((np.arange(1, 11) - 3) ** 2) / 14)
        blow = np.minimum(1, t / 0.03) * np.minimum(1, t[::-1] / 0.03) * (0.8 + 0.2 * np.exp(-t / 0.05))
        return tone(pitch * (1 - 0.03 * np.exp(-t / 0.02)), m, bright) * blow

    return melody(rng, n, rng.uniform(220, 380), note)


@sound("musical keyboard")
def piano(rng: np.random.Generator, n: int) -> np.ndarray:
    def note(pitch: float, m: int) -> np.ndarray:
        t = time_axis(m * 2)
        return np.asarray(sum(np.exp(-t * (2 + 1.2 * k)) * np.sin(2 * np.pi * pitch * k * (1 + 4e-4 * k * k) * t) / k
                              for k in range(1, 8)))  # fmt: skip

    return melody(rng, n, rng.uniform(160, 520), note)


@sound("telephone")
def telephone(rng: np.random.Generator, n: int) -> np.ndarray:
    t, two = time_axis(n), rng.uniform(0.95, 1.05)
    ring = np.sin(2 * np.pi * 440 * two * t) + np.sin(2 * np.pi * 480 * two * t)
    trill = 0.6 + 0.4 * np.sign(np.sin(2 * np.pi * rng.uniform(16, 24) * t))
    return np.asarray(ring * trill * (np.mod(t + rng.uniform(0, 1), rng.uniform(1.2, 1.8)) < 0.9))


def voiced(
    rng: np.random.Generator, pitch: np.ndarray, formants: list[tuple[np.ndarray, float]], rough: float
) -> np.ndarray:
    """Buzz whose harmonics are strong near moving formants: (hertz (n,), width)."""
    n = len(pitch)
    phase = 2 * np.pi * np.cumsum(pitch * (1 + rough * rng.normal(0, 1, n))) / RATE
    out = np.zeros(n)
    for k in range(1, 25):
        near = sum(np.exp(-(((k * pitch - centre) / width) ** 2)) for centre, width in formants)
        out += np.sin(k * phase) * (near + 0.03) * (k * pitch < 7800)
    return out


@sound("cat")
def cat(rng: np.random.Generator, n: int) -> np.ndarray:
    def meow() -> np.ndarray:
        m = int(RATE * rng.uniform(0.5, 0.9))
        bend = np.sin(np.pi * np.linspace(0.1, 0.95, m))
        pitch = rng.uniform(420, 620) * (0.75 + 0.5 * bend)
        return voiced(rng, pitch, [(800 + 900 * bend, 350.0), (1900 + 700 * bend, 450.0)], 0.0) * np.hanning(m)

    return repeated(rng, n, rng.uniform(0.9, 1.4), meow)


@sound("dog")
def dog(rng: np.random.Generator, n: int) -> np.ndarray:
    base = rng.uniform(180, 420)

    def bark() -> np.ndarray:
        m = int(RATE * rng.uniform(0.13, 0.24))
        fall = np.linspace(1.35, 0.75, m)
        body = voiced(rng, base * fall, [(700 * fall, 350.0), (1400 * fall, 500.0)], 0.15)
        return (body + 0.8 * coloured_noise(rng, m, 300, 3500, 0.3)) * decay(m, 0.08)

    return repeated(rng, n, rng.uniform(0.3, 0.6), bark)


@sound("cow")
def cow(rng: np.random.Generator, n: int) -> np.ndarray:
    def moo() -> np.ndarray:
        m = int(RATE * rng.uniform(1.0, 1.6))
        bend = np.sin(np.pi * np.linspace(0.05, 0.9, m))
        pitch = rng.uniform(100, 150) * (0.8 + 0.4 * bend)
        return voiced(rng, pitch, [(300 + 250 * bend, 150.0), (900 + 0 * bend, 250.0)], 0.01) * np.hanning(m) ** 0.5

    return repeated(rng, n, rng.uniform(1.6, 2.2), moo)


@sound("frog")
def frog(rng: np.random.Generator, n: int) -> np.ndarray:
    pulse, ring = rng.uniform(25, 55), rng.uniform(500, 1100)

    def croak() -> np.ndarray:
        m = int(RATE * rng.uniform(0.2, 0.45))
        t = time_axis(m)
        gate = np.exp(-np.mod(t * pulse, 1) * 6)
        return np.sin(2 * np.pi * ring * (1 + 0.15 * t) * t) * gate * np.hanning(m) ** 0.3

    return repeated(rng, n, rng.uniform(0.4, 0.8), croak)


@sound("cricket")
def cricket(rng: np.random.Generator, n: int) -> np.ndarray:
    t = time_axis(n)
    pulses = np.maximum(0, np.sin(2 * np.pi * rng.uniform(22, 35) * t)) ** 2
    bursts = np.mod(t * rng.uniform(1.5, 3.0), 1) < rng.uniform(0.4, 0.7)
    return np.asarray(np.sin(2 * np.pi * rng.uniform(4000, 5400) * t) * pulses * bursts)


@sound("honeybee")
def bee(rng: np.random.Generator, n: int) -> np.ndarray:
    t = time_axis(n)
    wander = np.interp(t, np.linspace(0, t[-1], 9), rng.normal(0, 0.07, 9))
    loud = 0.6 + 0.4 * np.sin(2 * np.pi * rng.uniform(0.3, 1.5) * t)
    return tone(rng.uniform(180, 260) * (1 + wander), n, 0.85 ** np.arange(16)) * loud


@sound("cloud with lightning")
def thunder(rng: np.random.Generator, n: int) -> np.ndarray:
    rumble = coloured_noise(rng, n, 25, 400, 1.0)
    t, strike = time_axis(n), rng.uniform(0, 0.5)
    swell = np.interp(t, np.linspace(0, t[-1], 14), rng.uniform(0.2, 1, 14))
    body = rumble * swell * (t > strike) * np.exp(-np.maximum(0, t - strike) / rng.uniform(0.6, 1.5))
    return body + placed([(strike, 0.5 * coloured_noise(rng, RATE // 2, 100, 5000, 0.5) * decay(RATE // 2, 0.06))], n)


@sound("water wave")
def wave(rng: np.random.Generator, n: int) -> np.ndarray:
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.25, 0.6) * time_axis(n) + rng.uniform(0, 6))
    return np.asarray(coloured_noise(rng, n, 80, 4000, 0.6) * (0.08 + swell**3))


@sound("fire")
def fire(rng: np.random.Generator, n: int) -> np.ndarray:
    def crackle() -> np.ndarray:
        m = int(rng.integers(60, 300))
        return rng.exponential(0.5) * coloured_noise(rng, m, 1000, 7500) * decay(m, 0.002)

    return repeated(rng, n, rng.uniform(0.03, 0.09), crackle) + 0.12 * coloured_noise(rng, n, 40, 700, 0.8)


@sound("locomotive")
def locomotive(rng: np.random.Generator, n: int) -> np.ndarray:
    def chuff() -> np.ndarray:
        m = RATE // 5
        return coloured_noise(rng, m, 150, 3500, 0.4) * decay(m, 0.05)

    whistle = tone(rng.uniform(600, 800) * np.linspace(0.97, 1, RATE), RATE, [1, 0.5, 0.4]) * np.hanning(RATE) ** 0.3
    third = tone(rng.uniform(750, 1000), RATE, [0.8, 0.3]) * np.hanning(RATE) ** 0.3
    return repeated(rng, n, rng.uniform(0.2, 0.35), chuff) + placed([(rng.uniform(0, 1), 0.35 * (whistle + third))], n)


@sound("helicopter")
def helicopter(rng: np.random.Generator, n: int) -> np.ndarray:
    t = time_axis(n)
    chop = np.exp(-np.mod(t * rng.uniform(10, 17), 1) * 5)
    return np.asarray(
        coloured_noise(rng, n, 40, 1800, 0.5) * (0.15 + chop) + 0.1 * tone(rng.uniform(300, 500), n, [1, 0.5])
    )


@sound("beating heart")
def heart(rng: np.random.Generator, n: int) -> np.ndarray:
    def beat() -> np.ndarray:
        m, gap = RATE // 6, rng.uniform(0.24, 0.3)
        thump = tone(rng.uniform(45, 70), m, [1, 0.4, 0.15]) * decay(m, 0.05)
        return placed([(0, thump), (gap, 0.7 * thump)], RATE // 2)

    return repeated(rng, n, rng.uniform(0.7, 1.1), beat)


@sound("clapping hands")
def clapping(rng: np.random.Generator, n: int) -> np.ndarray:
    def clap() -> np.ndarray:
        m = RATE // 12
        return (
            rng.uniform(0.4, 1)
            * coloured_noise(rng, m, rng.uniform(500, 900), rng.uniform(2500, 5000))
            * decay(m, 0.012)
        )

    return repeated(rng, n, rng.uniform(0.03, 0.2), clap)


def make(concept: str, rng: np.random.Generator, seconds: float = 2.0) -> np.ndarray:
    """A new take of a concept's sound: (samples,) float32, peak between 0.1 and 0.9, silence nowhere but inside."""
    wave_form = SOUNDS[concept](rng, int(seconds * RATE))
    return (wave_form / (np.abs(wave_form).max() + 1e-9) * rng.uniform(0.1, 0.9)).astype(np.float32)

"""Shapes over textures, rendered to the same bytes on every machine.

Pixels are computed only with operations that IEEE 754 rounds exactly (add, multiply, divide, square root, minimum,
round). Random numbers come from the raw PCG64 stream, whose values numpy guarantees. The only matrix product is over
integers with sums below 2**53, so the order of summation cannot change it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SIDE = 32
BASIS_SCALE = 2**14
BELL_SIGMA = 2**16 / 3**0.5


class Draws:
    """Random numbers from the raw 64-bit PCG64 stream of a seed."""

    def __init__(self, seed: int) -> None:
        self.bits = np.random.PCG64(seed)

    def _raw(self, shape: tuple[int, ...]) -> NDArray[np.uint64]:
        raw: NDArray[np.uint64] = self.bits.random_raw(int(np.prod(shape)))
        return raw.reshape(shape)

    def uniform(self, low: float, high: float, *shape: int) -> Floats:
        """Return float64 numbers in [low, high)."""
        unit = (self._raw(shape) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return low + (high - low) * unit

    def bell(self, *shape: int) -> Floats:
        """Return integers with a nearly normal distribution: mean 0, standard deviation BELL_SIGMA, below 2**17."""
        quarters = self._raw(shape).view(np.uint16).reshape(*shape, 4)
        total: Floats = quarters.sum(axis=-1, dtype=np.float64)
        return total - 2 * (2**16 - 1)


def _radius(x: Floats, y: Floats) -> Floats:
    return np.sqrt(x * x + y * y)


def _box(x: Floats, y: Floats, half_width: float, half_height: float) -> Floats:
    return np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)


def _disc(x: Floats, y: Floats) -> Floats:
    return _radius(x, y) - 0.9


def _ring(x: Floats, y: Floats) -> Floats:
    return np.abs(_radius(x, y) - 0.72) - 0.24


def _square(x: Floats, y: Floats) -> Floats:
    return _box(x, y, 0.78, 0.78)


def _triangle(x: Floats, y: Floats) -> Floats:
    return np.maximum(0.5 * y + 0.8660254037844386 * np.abs(x), -y) - 0.58


def _cross(x: Floats, y: Floats) -> Floats:
    return np.minimum(_box(x, y, 1.0, 0.32), _box(x, y, 0.32, 1.0))


def _star(x: Floats, y: Floats) -> Floats:
    """A pentagram is the set of points in at least four of five half-planes: the second largest of their distances."""
    sides = [
        y,
        0.30901699437494745 * y + 0.9510565162951535 * x,
        0.30901699437494745 * y - 0.9510565162951535 * x,
        -0.8090169943749475 * y + 0.5877852522924731 * x,
        -0.8090169943749475 * y - 0.5877852522924731 * x,
    ]
    distances: Floats = np.sort(np.stack(sides), axis=0)[-2] - 0.4
    return distances


def _stripes(x: Floats, y: Floats) -> Floats:
    outer = np.minimum(_box(x, y - 0.7, 0.9, 0.2), _box(x, y + 0.7, 0.9, 0.2))
    return np.minimum(outer, _box(x, y, 0.9, 0.2))


def _crescent(x: Floats, y: Floats) -> Floats:
    return np.maximum(_radius(x, y) - 0.95, 0.75 - _radius(x - 0.5, y))


def _hexagon(x: Floats, y: Floats) -> Floats:
    slanted = 0.5 * np.abs(y) + 0.8660254037844386 * np.abs(x)
    return np.maximum(slanted, np.abs(y)) - 0.82


def _ell(x: Floats, y: Floats) -> Floats:
    return np.minimum(_box(x + 0.5, y, 0.3, 0.85), _box(x, y + 0.55, 0.8, 0.3))


SHAPES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "star": _star,
    "stripes": _stripes,
    "crescent": _crescent,
    "hexagon": _hexagon,
    "ell": _ell,
}
"""Signed distance functions, negative inside, of shapes about one unit in radius. No two are mirror images
of each other, so that flipping an image never changes its class."""


def _basis() -> Floats:
    """Return the orthonormal DCT-II matrix times BASIS_SCALE, as integers."""
    k, n = np.mgrid[:SIDE, :SIDE]
    cosines = np.cos(np.pi * (2 * n + 1) * k / (2 * SIDE))
    rows: Floats = np.rint(cosines * np.where(k == 0, 1.0, 2**0.5) * (BASIS_SCALE / SIDE**0.5))
    return rows


def _falloff() -> Floats:
    """Return the amplitude of each DCT coefficient: f ** -1.25, falling faster above 32, 0 at f = 0."""
    u, v = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    f = np.sqrt(u * u + v * v)
    f[0, 0] = 1e9
    blur = f * f / 1024
    amplitude: Floats = 1.0 / (f * np.sqrt(np.sqrt(f)) * (1.0 + blur * blur * blur))
    return amplitude


def _texture(draws: Draws, count: int, channels: int) -> Floats:
    """Return textures with a 1/f spectrum, (count, channels, 32, 32), DCT amplitude 1 at f = 1."""
    basis = _basis()
    weights = np.rint(draws.bell(count, channels, SIDE, SIDE) * _falloff())
    return (basis.T @ weights @ basis) / (BASIS_SCALE**2 * BELL_SIGMA)


def _surface(draws: Draws, count: int, strength: float) -> Floats:
    """Return texture in grey levels, mostly shared by the three channels, of random strength per image."""
    shared, own = _texture(draws, count, 1), _texture(draws, count, 3)
    return (0.9 * shared + 0.35 * own) * draws.uniform(0.3 * strength, strength, count, 1, 1, 1)


def _colours(draws: Draws, count: int) -> tuple[Floats, Floats]:
    """Return background and shape colours (count, 3, 1, 1), 4 to 52 grey levels apart, towards the middle."""
    grey = draws.uniform(40, 215, count, 1, 1, 1)
    back = grey + draws.uniform(-35, 35, count, 3, 1, 1)
    step = draws.uniform(2, 26, count, 1, 1, 1) * np.where(grey < 128, 1.0, -1.0)
    return back, back + step + draws.uniform(-11, 11, count, 3, 1, 1)


def _coverage(draws: Draws, shape: str, count: int) -> Floats:
    """Return how much of each pixel the shape covers, 0..1, (count, 1, 32, 32), at a random pose."""
    row, column = np.mgrid[:SIDE, :SIDE].astype(np.float64) - (SIDE - 1) / 2
    size = draws.uniform(7, 12.5, count, 1, 1)
    centre_x, centre_y = draws.uniform(-5, 5, count, 1, 1), draws.uniform(-5, 5, count, 1, 1)
    a, b = draws.uniform(-1, 1, count, 1, 1), draws.uniform(-1, 1, count, 1, 1)
    length = np.sqrt(a * a + b * b)
    cos, sin = a / length, b / length
    x, y = (column - centre_x) / size, (row - centre_y) / size
    distance = SHAPES[shape](cos * x + sin * y, cos * y - sin * x) * size
    return np.clip(0.5 - distance / 1.5, 0.0, 1.0)[:, None]


def render(draws: Draws, shape: str, count: int) -> NDArray[np.uint8]:
    """Render ``count`` pictures of one shape: uint8 (count, 3, 32, 32)."""
    alpha = _coverage(draws, shape, count)
    back, front = _colours(draws, count)
    back = back + _surface(draws, count, 900)
    front = front + _surface(draws, count, 600)
    across = np.arange(SIDE) / (SIDE - 1) - 0.5
    tilt_x, tilt_y = draws.uniform(-0.3, 0.3, count, 1, 1, 1), draws.uniform(-0.3, 0.3, count, 1, 1, 1)
    light = 1.0 + tilt_x * across + tilt_y * across[:, None]
    noise = draws.bell(count, 3, SIDE, SIDE) * (1.0 / BELL_SIGMA)
    picture = (back + alpha * (front - back)) * light + noise
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)

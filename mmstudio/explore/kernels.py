"""The inner loops of neighbours, trust and projections as machine code, each compiled at its first call."""

from __future__ import annotations

import numpy as np

from mmstudio.explore.machine_code import compiled

_TWO = np.float32(2)  # a plain 2 would make what it is multiplied with twice as wide, and unequal to what is kept


@compiled()
def least(dots, squares, own, columns, values):  # type: ignore[no-untyped-def]
    """Of each row of ``squares - 2 dots``, the ``k`` least ``values (b, k)`` and their ``columns``, the column ``own``
    left out.
    """
    k = columns.shape[1]
    for row in range(dots.shape[0]):
        columns[row], values[row], worst = -1, np.inf, np.float32(np.inf)
        for j in range(dots.shape[1]):
            value = squares[j] - _TWO * dots[row, j]
            if value < worst and j != own[row]:
                at = k - 1
                while at > 0 and values[row, at - 1] > value:
                    values[row, at], columns[row, at] = values[row, at - 1], columns[row, at - 1]
                    at -= 1
                values[row, at], columns[row, at] = value, j
                worst = values[row, k - 1]


@compiled()
def products(heads, starts, ends, weights, rows, found):  # type: ignore[no-untyped-def]
    """Of each span of ``heads (n, d)`` int8, its ``rows`` and their products with ``weights (d,)`` int16, as int32."""
    at = 0
    for span in range(len(starts)):
        for row in range(starts[span], ends[span]):
            total = np.int32(0)
            for j in range(heads.shape[1]):
                total = np.int32(total + np.int32(np.int32(heads[row, j]) * np.int32(weights[j])))
            rows[at], found[at] = row, total
            at += 1


@compiled()
def _count_below(value, limits, order, found):  # type: ignore[no-untyped-def]
    """Count a value that is less than the greatest limit, at the least limit above it; ``order`` sorts the limits."""
    low, high = 0, len(order) - 1
    while low < high:
        middle = (low + high) // 2
        if value < limits[order[middle]]:
            high = middle
        else:
            low = middle + 1
    found[low] += 1


@compiled()
def _write_places(found, order, out):  # type: ignore[no-untyped-def]
    """The place of each partner, from 1: one more than all that was counted up to it."""
    closer = 0
    for m in range(len(order)):
        closer += found[m]
        out[order[m]] = closer + 1


@compiled()
def ranks(dots, squares, own, partners, out):  # type: ignore[no-untyped-def]
    """The place ``out (b, k)``, from 1, of each row's ``partners`` by ``squares - 2 dots``, the column ``own`` left
    out.
    """
    k = partners.shape[1]
    limits, found = np.empty(k, np.float32), np.empty(k, np.int64)
    for row in range(dots.shape[0]):
        for m in range(k):
            limits[m] = squares[partners[row, m]] - _TWO * dots[row, partners[row, m]]
        order = np.argsort(limits)
        found[:] = 0
        last = limits[order[k - 1]]
        for j in range(dots.shape[1]):
            value = squares[j] - _TWO * dots[row, j]
            if value < last and j != own[row]:
                _count_below(value, limits, order, found)
        _write_places(found, order, out[row])


@compiled()
def map_ranks(places, rows, partners, out):  # type: ignore[no-untyped-def]
    """The same on a map ``(n, 2 or 3)``, of the points ``rows (b,)``."""
    k, axes = partners.shape[1], places.shape[1]
    limits, found = np.empty(k, np.float32), np.empty(k, np.int64)
    for at in range(len(rows)):
        row = rows[at]
        for m in range(k):
            squared = np.float32(0)
            for axis in range(axes):
                step = places[row, axis] - places[partners[at, m], axis]
                squared += step * step
            limits[m] = squared
        order = np.argsort(limits)
        found[:] = 0
        last = limits[order[k - 1]]
        for j in range(len(places)):
            value = np.float32(0)
            for axis in range(axes):
                step = places[row, axis] - places[j, axis]
                value += step * step
            if value < last and j != row:
                _count_below(value, limits, order, found)
        _write_places(found, order, out[at])


@compiled()
def umap_epochs(y, heads, tails, every, due, due_against, state, a, b, least_sum, gamma, rate, first, last, total):  # type: ignore[no-untyped-def]
    """Epochs ``first`` to ``last`` of ``total`` of UMAP's stochastic gradient descent; see ``umap``."""
    n, axes = y.shape
    word = state[0]
    for epoch in range(first, last):
        alpha = rate * (1.0 - epoch / total)
        for edge in range(len(heads)):
            if due[edge] > epoch:
                continue
            i, j = heads[edge], tails[edge]
            squared = 0.0
            for axis in range(axes):
                step = y[i, axis] - y[j, axis]
                squared += step * step
            if squared > 0:
                power = squared**b
                pull = -2.0 * a * b * power / squared / (a * power + 1.0)
                for axis in range(axes):
                    move = min(4.0, max(-4.0, pull * (y[i, axis] - y[j, axis]))) * alpha
                    y[i, axis] += move
                    y[j, axis] -= move
            due[edge] += every[edge]
            number = int((epoch - due_against[edge]) / (every[edge] / 5.0))
            for _ in range(number):
                word ^= word << np.uint64(13)
                word ^= word >> np.uint64(7)
                word ^= word << np.uint64(17)
                other = np.int64(word % np.uint64(n))
                squared = 0.0
                for axis in range(axes):
                    step = y[i, axis] - y[other, axis]
                    squared += step * step
                if squared > 0:
                    push = 2.0 * gamma * b / ((least_sum + squared) * (a * squared**b + 1.0))
                    for axis in range(axes):
                        y[i, axis] += min(4.0, max(-4.0, push * (y[i, axis] - y[other, axis]))) * alpha
            due_against[edge] += number * every[edge] / 5.0
    state[0] = word


@compiled()
def pacmap_forces(y, partners, kind, weight, total):  # type: ignore[no-untyped-def]
    """Adds to ``total (n, axes)`` the gradient of one kind of pairs; see ``projection.pacmap``."""
    axes = y.shape[1]
    step = np.empty(axes, np.float32)
    one, near, mid = np.float32(1), np.float32(10), np.float32(10_000)
    for i in range(len(y)):
        for m in range(partners.shape[1]):
            j = partners[i, m]
            d = one
            for axis in range(axes):
                step[axis] = y[i, axis] - y[j, axis]
                d += step[axis] * step[axis]
            if kind == 0:
                scale = np.float32(20) / ((near + d) * (near + d))
            elif kind == 1:
                scale = np.float32(20_000) / ((mid + d) * (mid + d))
            else:
                scale = np.float32(-2) / ((one + d) * (one + d))
            for axis in range(axes):
                force = weight * scale * step[axis]
                total[i, axis] += force
                total[j, axis] -= force

"""The part of every generated program that does not depend on the model.

Plain Python that `vector.py` compiles as it stands. `source.py` copies this text and that of
`numerics.py` behind the model's own functions (constants, drivers, initial, evaluate, remember,
clip), so that a program needs nothing but Python to run. Arrays are Python lists in a plain run and
NumPy arrays in a compiled one; only operations that both have are used.

A division by zero, the logarithm of a negative number and an exponential that overflows
raise an exception in both; what becomes NaN or infinite otherwise is caught once a step.
"""

import math

from .numerics import larger, smaller

# What a gauge measures in a window, and the rows that say so (see `measure`).
VALUE, MEAN, SUM, CHANGE, PEAK, TROUGH, PEAK_TIME, TROUGH_TIME = range(8)
NO_TERM, NORMAL, LOGNORMAL, STUDENT_T, NEGATIVE_BINOMIAL = range(5)
OUTPUT, MANY, SUMS, KIND, TERM, SCALED, SCALE, START, FIRST, END, STRIDE = range(11)
OPENS, CLOSES, COLUMN = range(3)
OBSERVED, SPREAD, CONSTANT, FREEDOM = range(4)


def refuse(values, count):
    """Raise where one of the values is infinite, or NaN in a model without missing values (:NA:).

    A model that has :NA: anywhere may have NaN anywhere: nothing tells one from the other.
    """
    total = 0.0
    for i in range(count):
        if MISSING_VALUES:
            total = total + (1.0 if math.isinf(values[i]) else 0.0)
        else:  # nought times anything is nought, but for infinity and NaN
            total = total + 0.0 * values[i]
    if total != 0.0:
        raise FloatingPointError("NaN or infinity")


def rates(k, t, dt, p, c, x, s, m, d, o):
    """Rates d and outputs o at step k; outputs have to be numbers."""
    evaluate(k, t, dt, p, c, x, s, m, d, o)
    refuse(o, OUTPUTS)


def advance(k, p, c, x, y, s, m, work, rk4, start, dt, at):
    """States s from step k, whose rates are in work[0], to step k + 1.

    x and y are the drivers at the start of the step (filled) and later in it. `at[0]` is the
    step that is being computed.
    """
    d1 = work[0]
    d2 = work[1]
    d3 = work[2]
    d4 = work[3]
    trial = work[4]
    unused = work[6]
    t = start + k * dt
    remember(k, t, dt, p, c, x, s, m)
    later = start + (k + 1) * dt
    if rk4:
        half = 0.5 * dt
        drivers(t + half, dt, p, c, y)
        for i in range(STATES):
            trial[i] = s[i] + half * d1[i]
        evaluate(k, t + half, dt, p, c, y, trial, m, d2, unused)
        for i in range(STATES):
            trial[i] = s[i] + half * d2[i]
        evaluate(k, t + half, dt, p, c, y, trial, m, d3, unused)
        for i in range(STATES):
            trial[i] = s[i] + dt * d3[i]
        at[0] = k + 1
        drivers(later, dt, p, c, x)
        at[0] = k
        evaluate(k, later, dt, p, c, x, trial, m, d4, unused)
        for i in range(STATES):
            s[i] = s[i] + dt / 6.0 * (d1[i] + 2.0 * d2[i] + 2.0 * d3[i] + d4[i])
    else:
        at[0] = k + 1
        drivers(later, dt, p, c, x)
        for i in range(STATES):
            s[i] = s[i] + dt * d1[i]
    clip(dt, s, d1)
    draw(m)
    at[0] = k + 1
    refuse(s, STATES)


def run(p, c, x, y, s, m, work, first, last, saves, rk4, start, dt, out, at):
    """One lane from step `first`, whose states are in s, to step `last`.

    p constants, c derived constants, x and y drivers (x filled for `first`), s states,
    m memory, work eight rows of scratch, saves the steps at which outputs are stored in
    out[output][save].
    """
    column = 0
    for k in range(first, last + 1):
        at[0] = k
        rates(k, start + k * dt, dt, p, c, x, s, m, work[0], work[5])
        if column < len(saves) and k == saves[column]:
            for i in range(OUTPUTS):
                out[i][column] = work[5][i]
            column += 1
        if k == last:
            break
        advance(k, p, c, x, y, s, m, work, rk4, start, dt, at)


def density(term, r, y, spread, freedom):
    """Logarithm of the density of an observation y, given the simulated value r.

    Without what does not depend on the run, which is added as a constant. `spread` is the
    standard deviation (of the logarithm where `term` is LOGNORMAL), the scale of Student's t
    or the size of a negative binomial distribution with mean r.
    """
    if spread <= 0.0:
        raise ValueError("a spread that is not above zero")
    if term == NEGATIVE_BINOMIAL:
        if r <= 0.0:
            return 0.0 if y <= 0.0 else -math.inf
        return y * math.log(r / (r + spread)) - spread * math.log(1.0 + r / spread)
    if term == LOGNORMAL and r <= 0.0:
        return -math.inf
    z = ((math.log(r) - math.log(y)) if term == LOGNORMAL else r - y) / spread
    if term == STUDENT_T:
        return -0.5 * (freedom + 1.0) * math.log(1.0 + z * z / freedom) - math.log(spread)
    return -0.5 * z * z - math.log(spread)


def measure(count, k, last, t, dt, p, o, g, cursor, gauge, window, datum, out):
    """Take outputs o of step k into each gauge whose window is open.

    A gauge (rows OUTPUT to STRIDE, a column each) takes MANY outputs from OUTPUT on, in the same
    windows. window (OPENS, CLOSES, COLUMN) has their steps and where in `out` the result of the
    first output goes, datum (OBSERVED, SPREAD, CONSTANT, FREEDOM) what was observed in them. g
    holds three sums an output, from SUMS on, cursor the window that each gauge has come to. Means
    and integrals are by the trapezoidal rule on the steps. A window that goes on behind `last` is
    left open.
    """
    for i in range(count):
        w = cursor[i]
        while w < gauge[END][i] and k >= window[OPENS][w]:
            kind = gauge[KIND][i]
            first = gauge[OUTPUT][i]
            sums = gauge[SUMS][i]
            many = gauge[MANY][i]
            closing = k == window[CLOSES][w]
            if k == window[OPENS][w]:
                for j in range(many):
                    g[sums + 3 * j] = 0.5 * o[first + j] if kind <= SUM else o[first + j]
                    g[sums + 3 * j + 1] = t
            elif k < last or closing:
                gather(kind, t, 0.5 if closing else 1.0, o, first, many, g, sums)
            if not closing:
                break
            steps = k - window[OPENS][w]
            for j in range(many):
                r = o[first + j]
                if kind == MEAN and steps > 0:
                    r = g[sums + 3 * j] / steps
                elif kind == SUM:
                    r = g[sums + 3 * j] * dt if steps > 0 else 0.0
                elif kind == CHANGE:
                    r = r - g[sums + 3 * j]
                elif kind in (PEAK, TROUGH):
                    r = g[sums + 3 * j]
                elif kind in (PEAK_TIME, TROUGH_TIME):
                    r = g[sums + 3 * j + 1]
                if gauge[TERM][i] != NO_TERM:
                    factor = p[gauge[SCALE][i]] if gauge[SCALED][i] > 0 else 1.0
                    spread = datum[SPREAD][w] * factor
                    r = density(gauge[TERM][i], r, datum[OBSERVED][w], spread, datum[FREEDOM][w])
                    r = r + datum[CONSTANT][w] + (g[sums + 2] if w > gauge[START][i] else 0.0)
                    g[sums + 2] = r
                out[window[COLUMN][w] + j * gauge[STRIDE][i]] = r
            w += 1
        cursor[i] = w


def gather(kind, t, weight, o, first, many, g, sums):
    """Take outputs of one time into the sums of an open window."""
    if kind in (MEAN, SUM):
        for j in range(many):
            g[sums + 3 * j] = g[sums + 3 * j] + weight * o[first + j]
    elif kind == PEAK:
        for j in range(many):
            g[sums + 3 * j] = larger(o[first + j], g[sums + 3 * j])
    elif kind == TROUGH:
        for j in range(many):
            g[sums + 3 * j] = smaller(o[first + j], g[sums + 3 * j])
    elif kind == PEAK_TIME:
        for j in range(many):
            g[sums + 3 * j + 1] = t if o[first + j] > g[sums + 3 * j] else g[sums + 3 * j + 1]
            g[sums + 3 * j] = larger(o[first + j], g[sums + 3 * j])
    elif kind == TROUGH_TIME:
        for j in range(many):
            g[sums + 3 * j + 1] = t if o[first + j] < g[sums + 3 * j] else g[sums + 3 * j + 1]
            g[sums + 3 * j] = smaller(o[first + j], g[sums + 3 * j])


def lanes(
    low, high, p, c, x, y, s, m, g, work, cursor, first, last, count, gauge, window, datum,
    rk4, start, dt, out, at, failed,
):  # fmt: skip
    """Lanes `low` to `high` from step `first` to `last`, measured on the way.

    p, s, m, g, out and failed have the lane as their first axis. From step 0 the states are
    started here; from a later step they go on from what s, m and g hold. failed[lane] is -2,
    or the step at which the lane failed.
    """
    for lane in range(low, high):
        failed[lane] = -2
        at[0] = -1
        try:
            constants(p[lane], c, start, dt)
            drivers(start + first * dt, dt, p[lane], c, x)
            if first == 0:
                initial(start, dt, p[lane], c, x, s[lane], m[lane])
            for i in range(count):
                cursor[i] = gauge[FIRST][i]
            for k in range(first, last + 1):
                t = start + k * dt
                at[0] = k
                rates(k, t, dt, p[lane], c, x, s[lane], m[lane], work[0], work[5])
                measure(
                    count, k, last, t, dt, p[lane], work[5], g[lane], cursor, gauge, window,
                    datum, out[lane],
                )  # fmt: skip
                if k == last:
                    break
                advance(k, p[lane], c, x, y, s[lane], m[lane], work, rk4, start, dt, at)
        except Exception:
            failed[lane] = at[0]

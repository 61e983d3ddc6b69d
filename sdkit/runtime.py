"""The part of every generated program that does not depend on the model.

Plain Python that Numba compiles as it stands. `source.py` copies this text behind the
model's own functions (constants, drivers, initial, evaluate, remember, clip), so that a
program needs nothing but Python to run. Arrays are Python lists in a plain run and
NumPy arrays in a compiled one; only operations that both have are used.

A division by zero, the logarithm of a negative number and an exponential that overflows
raise an exception in both; what becomes NaN or infinite otherwise is caught once a step.
"""

import math

SMALL = 1e-6  # what Vensim takes for zero in ZIDZ, XIDZ, QUANTUM and in comparing times


def smaller(a, b):
    return a if a < b or a != a else b


def larger(a, b):
    return a if a > b or a != a else b


def finite(x):
    """`x`; compiled code goes on with infinity where plain Python raises this by itself."""
    if math.isinf(x):
        raise OverflowError("a number too large")
    return x


def exp(x):
    return finite(math.exp(x))


def ln(x):
    if x <= 0.0:
        raise ValueError("LN of zero or of a negative number")
    return math.log(x)


def log(x, base):
    return ln(x) / ln(base)


def sqrt(x):
    if x < 0.0:
        raise ValueError("SQRT of a negative number")
    return math.sqrt(x)


def arcsin(x):
    if x < -1.0 or x > 1.0:
        raise ValueError("ARCSIN of a number outside -1 to 1")
    return math.asin(x)


def arccos(x):
    if x < -1.0 or x > 1.0:
        raise ValueError("ARCCOS of a number outside -1 to 1")
    return math.acos(x)


def power(base, exponent):
    if base > 0.0:
        return finite(base**exponent)
    if base < 0.0 and exponent != math.floor(exponent):
        raise ValueError("a fractional power of a negative number")
    if base == 0.0 and exponent < 0.0:
        raise ZeroDivisionError("a negative power of zero")
    return finite(base**exponent)


def integer(x):
    return x - x % 1.0 if x >= 0.0 else (-x) % 1.0 + x


def quantum(x, size):
    return x if size < SMALL else size * integer(x / size)


def modulo(x, size):
    return x - quantum(x, size)


def zidz(a, b):
    return 0.0 if abs(b) < SMALL else a / b


def xidz(a, b, x):
    return x if abs(b) < SMALL else a / b


def step(t, dt, height, start):
    return height if t + 0.5 * dt > start else 0.0


def ramp(t, slope, start, end):
    return slope * (smaller(end, t) - start) if t + SMALL > start else 0.0


def ramp_on(t, slope, start):
    return slope * (t - start) if t + SMALL > start else 0.0


def pulse(t, dt, start, width):
    """As Vensim's reference has it; half a step keeps rounding out of the comparisons."""
    middle = t + 0.5 * dt
    end = start + (width if width > 0.0 else dt)
    return 1.0 if middle > start and middle < end else 0.0


def pulse_train(t, dt, start, interval, width, end):
    middle = t + 0.5 * dt
    if interval <= 0.0:
        return pulse(t, dt, start, width)
    if middle > start and middle < end:
        return 1.0 if (middle - start) % interval < larger(width, dt) else 0.0
    return 0.0


def lookup(x, xs, ys):
    last = len(xs) - 1
    if x <= xs[0]:
        return ys[0]
    if x >= xs[last]:
        return ys[last]
    low = 0
    while last - low > 1:
        middle = (low + last) // 2
        if xs[middle] <= x:
            low = middle
        else:
            last = middle
    return ys[low] + (ys[last] - ys[low]) * ((x - xs[low]) / (xs[last] - xs[low]))


def lookup_extrapolate(x, xs, ys):
    last = len(xs) - 1
    if x < xs[0]:
        return ys[0] + (x - xs[0]) * ((ys[1] - ys[0]) / (xs[1] - xs[0]))
    if x > xs[last]:
        slope = (ys[last] - ys[last - 1]) / (xs[last] - xs[last - 1])
        return ys[last] + (x - xs[last]) * slope
    return lookup(x, xs, ys)


def lookup_hold_backward(x, xs, ys):
    last = len(xs) - 1
    while last > 0 and xs[last] > x:
        last -= 1
    return ys[last]


def delay_order(order, time, dt):
    """PySD and Vensim drop stages of a delay that is shorter than order times the step."""
    left = float(order)
    while left * dt > time * (1.0 + SMALL) and left > 0.0:
        left -= 1.0
    if left < 1.0:
        raise ValueError("a delay time shorter than TIME STEP")
    return left


def fixed_steps(time, dt):
    """Steps of a DELAY FIXED; half a step rounds up."""
    return math.floor(larger(time / dt, 1.0) + 0.5 + SMALL)


def run(p, c, x, y, s, m, work, first, last, saves, averaged, rk4, start, dt, out, at):
    """Integrate one lane from step `first`, whose states are in `s`, to step `last`.

    p constants, c derived constants, x and y the drivers at the start of the step (filled)
    and later in it, s states, m memory, work eight rows of scratch,
    saves the steps at which outputs are stored in out[output][save], averaged 1.0 for an
    output that is stored as its mean since the save before (trapezoidal rule on the
    steps), at[0] the step that is being computed.
    """
    d1 = work[0]
    d2 = work[1]
    d3 = work[2]
    d4 = work[3]
    trial = work[4]
    o = work[5]
    unused = work[6]
    total = work[7]
    column = 0
    begun = first
    for k in range(first, last + 1):
        at[0] = k
        t = start + k * dt
        evaluate(k, t, dt, p, c, x, s, m, d1, o)
        for i in range(OUTPUTS):
            if math.isinf(o[i]) or (o[i] != o[i] and not MISSING_VALUES):
                raise FloatingPointError("NaN or infinity in an output")
        if column < len(saves) and k == saves[column]:
            for i in range(OUTPUTS):
                if averaged[i] > 0.0 and column > 0:
                    out[i][column] = (total[i] + 0.5 * o[i]) / (k - begun)
                else:
                    out[i][column] = o[i]
                total[i] = 0.5 * o[i]
            begun = k
            column += 1
        else:
            for i in range(OUTPUTS):
                total[i] += o[i]
        if k == last:
            break
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
                s[i] += dt / 6.0 * (d1[i] + 2.0 * d2[i] + 2.0 * d3[i] + d4[i])
        else:
            at[0] = k + 1
            drivers(later, dt, p, c, x)
            for i in range(STATES):
                s[i] += dt * d1[i]
        clip(s)
        at[0] = k + 1
        for i in range(STATES):
            if math.isinf(s[i]) or (s[i] != s[i] and not MISSING_VALUES):
                raise FloatingPointError("NaN or infinity in a state")


def lanes(
    low, high, p, c, x, y, s, m, work, first, last, saves, averaged, rk4, start, dt, out, at, failed
):
    """Run lanes `low` to `high`; failed[lane] is -2, or the step at which the lane failed.

    p, s, m and out have the lane as their first axis. From step 0 the states are started
    here; from a later step they continue from what `s` and `m` hold.
    """
    for lane in range(low, high):
        failed[lane] = -2
        at[0] = -1
        try:
            constants(p[lane], c, start, dt)
            drivers(start + first * dt, dt, p[lane], c, x)
            if first == 0:
                initial(start, dt, p[lane], c, x, s[lane], m[lane])
            run(
                p[lane],
                c,
                x,
                y,
                s[lane],
                m[lane],
                work,
                first,
                last,
                saves,
                averaged,
                rk4,
                start,
                dt,
                out[lane],
                at,
            )
        except Exception:
            failed[lane] = at[0]

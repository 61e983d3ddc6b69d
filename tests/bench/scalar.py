"""A program as scalar C, one run after the other (Euler): what gcc makes of the same equations."""

import ast
import ctypes
import subprocess
from pathlib import Path

import numpy as np

from sdkit.compile import Program

_HELPERS = """
#include <math.h>
static inline double smaller(double a, double b) { return a < b || a != a ? a : b; }
static inline double larger(double a, double b) { return a > b || a != a ? a : b; }
static inline double zidz(double a, double b) { return fabs(b) < 1e-6 ? 0.0 : a / b; }
static double delay_order(double n, double t, double dt) { return fmin(n, floor(t*1.000001/dt)); }
static double lookup(double x, const double *xs, const double *ys, int n) {
    int i = 0, last = n - 1;
    if (x <= xs[0] || x >= xs[last]) return x <= xs[0] ? ys[0] : ys[last];
    while (last - i > 1) { int k = (i + last) / 2; if (xs[k] <= x) i = k; else last = k; }
    return ys[i] + (ys[last] - ys[i]) * ((x - xs[i]) / (xs[last] - xs[i]));
}
"""
_MAIN = """
void runs(long n, long steps, double *p, double start, double dt, double *o) {{
    static double c[{c} + 1], x[{x} + 1], s[{s} + 1], m[{m} + 1], d[{s} + 1];
    for (long run = 0; run < n; run++) {{
        m[0] = steps + 1;
        constants(p, c, start, dt); drivers(start, dt, p, c, x); initial(start, dt, p, c, x, s, m);
        for (long k = 0; k <= steps; k++) {{
            if (k) drivers(start + k * dt, dt, p, c, x);
            evaluate(k, start + k * dt, dt, p, c, x, s, m, d, o);
            if (k < steps) for (int i = 0; i < {s}; i++) s[i] += dt * d[i]; }} }} }}
"""
_TYPES = {"k": "long k", "t": "double t", "dt": "double dt"}
_NAMES = {"abs": "fabs", "int": "(long)", "power": "pow", "ln": "log"}
_SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.And: "&&", ast.Or: "||",
          ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
          ast.Not: "!", ast.USub: "-"}  # fmt: skip


def text(node: ast.expr) -> str:
    """C for one expression of a program's text."""
    match node:
        case ast.Constant():
            return repr(node.value)
        case ast.Name():
            return node.id if node.id in ("t", "dt", "k", *"pcxsmdo") else f"v_{node.id}"
        case ast.Subscript():
            return f"{text(node.value)}[(long)({text(node.slice)})]"
        case ast.UnaryOp():
            return f"({_SIGNS[type(node.op)]}({text(node.operand)}))"
        case ast.BinOp(left, op, right) | ast.Compare(left, [op], [right]):
            return f"({text(left)} {_SIGNS[type(op)]} {text(right)})"
        case ast.BoolOp():
            return f"({_SIGNS[type(node.op)].join(f'({text(v)})' for v in node.values)})"
        case ast.IfExp():
            return f"(({text(node.test)}) ? {text(node.body)} : {text(node.orelse)})"
    name = ast.unparse(node.func).removeprefix("math.")
    if name == "lookup":
        xs, ys = node.args[1].id, node.args[2].id
        return f"lookup({text(node.args[0])}, {xs}, {ys}, sizeof {xs} / 8)"
    return f"{_NAMES.get(name, name)}({', '.join(map(text, node.args))})"


def scalar(program: Program, folder: Path):
    """A function (runs) -> outputs at the end of the last; None where a program needs more."""
    parts = [_HELPERS]
    for node in ast.parse(program.source).body:
        if isinstance(node, ast.Assign) and "TABLE_" in (name := ast.unparse(node.targets[0])):
            values = ast.literal_eval(node.value)
            parts.append(f"static const double {name}[] = {{{', '.join(map(repr, values))}}};")
        elif getattr(node, "name", "") in ("constants", "drivers", "initial", "evaluate"):
            given = ", ".join(_TYPES.get(a.arg, f"double *{a.arg}") for a in node.args.args)
            lines = [
                f"{'double ' * isinstance(a.targets[0], ast.Name)}{text(a.targets[0])} = "
                f"{text(a.value)};" for a in node.body if isinstance(a, ast.Assign)
            ]  # fmt: skip
            parts.append("\n".join([f"static void {node.name}({given}) {{", *lines, "}"]))
    sizes = {"c": program.derived, "x": program.drivers, "s": program.states, "m": program.memory}
    parts.append(_MAIN.format(**sizes))
    (folder / "run.c").write_text("\n".join(parts))
    gcc = "gcc -O3 -march=native -shared -fPIC -Wl,-z,defs run.c -o run.so -lm"
    if subprocess.run(gcc.split(), cwd=folder, capture_output=True, check=False).returncode:
        return None
    p, out = np.array(program.defaults), np.zeros(len(program.outputs) + 1)
    steps = round((program.final_time - program.initial_time) / program.time_step)
    function = ctypes.CDLL(str(folder / "run.so")).runs
    whole, real, array = ctypes.c_long, ctypes.c_double, ctypes.c_void_p
    function.argtypes = [whole, whole, array, real, real, array]
    start, dt = program.initial_time, program.time_step

    def runs(n: int) -> np.ndarray:
        function(n, steps, p.ctypes.data, start, dt, out.ctypes.data)
        return out[:-1]

    return runs

"""Random models with subscripts against the same models written out element by element.

What is written out has no subscripts, so that it is read, laid out and compiled by other code.
"""

from __future__ import annotations

import re
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sdkit import compile_model, read_model, simulate
from tests.small import experiment, text
from tests.test_random_models import RANDOM, STATES, assert_close, expressions, fill, odd_numbers

RANGES = {"dim": ["d1", "d2", "d3", "d4"], "part": ["d2", "d4"], "kind": ["k1", "k2", "k3"]}
AXES = {"vec": ["dim"], "sub": ["part"], "mat": ["dim", "kind"], "one": []}
# What may stand in an equation of each sort: {n} is the number of a variable.
READS = {
    "vec": ["vec {n}[dim]", "mat {n}[dim,k2]", "SUM(mat {n}[dim,kind!])", "one {n}", "vec {n}[d3]",
            "VMAX(vec {n}[part!])"],
    "sub": ["sub {n}[part]", "vec {n}[part]", "mat {n}[part,k1]", "VMIN(mat {n}[part,kind!])"],
    "mat": ["mat {n}[dim,kind]", "vec {n}[dim]", "mat {n}[d1,kind]", "SUM(mat {n}[dim!,kind])",
            "one {n}"],
    "one": ["one {n}", "vec {n}[d2]", "mat {n}[d4,k3]", "SUM(mat {n}[dim!,kind!])",
            "PROD(sub {n}[part!])"],
}  # fmt: skip
END, STEP = 3, 0.125


@st.composite
def models(draw) -> list[str]:
    """Equations `name[ranges] = expression`, in an order in which they can be computed."""
    lines = [f"one 1 = {draw(odd_numbers())}", "tau = 1.73"]
    for sort, axes in AXES.items():
        if axes:
            left = f"{sort} 1[{','.join(axes)}]"
            lines.append(f"{left} = INTEG(MAX(-9.3, MIN(9.7, {{later}})) - {left}/2.3, "
                         f"{draw(odd_numbers())})")  # fmt: skip
    for number in (1, 2):
        x = np.cumsum([float(draw(odd_numbers())) for _ in range(4)]) - 4
        points = ",".join(f"({a:.4f},{draw(odd_numbers())})" for a in x)
        lines.append(f"table {number}({points})")
    for n in range(2, 5):
        for sort, axes in AXES.items():
            # All of the numbers before are known in every sort.
            names = [form.format(n=draw(st.integers(1, n - 1))) for form in READS[sort]]
            if draw(st.integers(0, 2)) == 0:
                state = draw(st.sampled_from(STATES))
                equation = fill(draw, state, expressions(names, depth=1), names)
            else:
                equation = draw(expressions(names, depth=2))
            left = f"{sort} {n}[{','.join(axes)}]" if axes else f"{sort} {n}"
            lines.append(f"{left} = MAX(-40.3, MIN(40.7, {equation}))")
    for i, sort in enumerate(s for s, axes in AXES.items() if axes):
        names = [form.format(n=draw(st.integers(1, 4))) for form in READS[sort]]
        flow = draw(expressions(names, depth=1))
        lines[2 + i] = lines[2 + i].replace("{later}", flow)
    return lines


def written_out(lines: list[str]) -> list[str]:
    """The same equations, one for each element."""
    found = []
    for line in lines:
        left = re.match(r"(\w+ \d+)(?:\[([\w,]+)\])? = ", line)
        ranges = left[2].split(",") if left and left[2] else []
        for elements in product(*(RANGES[r] for r in ranges)):
            found.append(_element(line, dict(zip(ranges, elements, strict=True))))
    return found


def _element(line: str, at: dict[str, str]) -> str:
    def reduced(call: re.Match) -> str:
        function, name, subscripts = call[1], call[2], call[3].split(",")
        summed = [s[:-1] for s in subscripts if s.endswith("!")]
        terms = []
        for elements in product(*(RANGES[r] for r in summed)):
            own = at | dict(zip((f"{r}!" for r in summed), elements, strict=True))
            terms.append(_named(name, [own.get(s, s) for s in subscripts]))
        if function in ("VMIN", "VMAX"):
            result = terms[0]
            for term in terms[1:]:
                result = f"{function[1:]}({result}, {term})"
            return result
        return f"({('+' if function == 'SUM' else '*').join(terms)})"

    line = re.sub(r"(SUM|PROD|VMIN|VMAX)\((\w+ \d+)\[([\w,!]+)\]\)", reduced, line)
    return re.sub(
        r"(\w+ \d+)\[([\w,]+)\]",
        lambda m: _named(m[1], [at.get(s, s) for s in m[2].split(",")]), line,
    )  # fmt: skip


def _named(name: str, elements: list[str]) -> str:
    return " ".join([name, *elements])


@settings(RANDOM, max_examples=12)
@given(lines=models())
def test_arrays_are_their_elements(tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("arrays")
    ranges = [f"{name}: {', '.join(members)} ~ ~ |" for name, members in RANGES.items()]
    read = []
    for name, equations in (("arrays", ranges + lines), ("scalars", written_out(lines))):
        path = folder / f"{name}.mdl"
        path.write_text(text("\n".join(equations), end=END, step=STEP), encoding="utf-8")
        read.append(read_model(path))
    program = compile_model(read[0])
    for method in ("euler", "rk4"):
        arrays, scalars = simulate(program, method=method), simulate(read[1], method=method)
        lanes = simulate(
            program,
            experiment(tuple(arrays), arrays.time.to_numpy(), draws={"one 1": [0.7, 1.9]}),
            method=method,
        )
        for variable in read[0].variables.values():
            if variable.kind == "lookup":
                continue
            own = arrays[variable.name].to_numpy()[:, 0, 0, 0].reshape(len(arrays.time), -1)
            for i, label in enumerate(variable.labels):
                wanted = scalars[label.translate(str.maketrans("[,", "  ", "]"))].to_numpy().ravel()
                assert_close(own[:, i], wanted, label, method)
        alone = simulate(program, set={"one 1": 1.9}, method=method)
        for name in alone:
            got = lanes[name].sel(draw=lanes.draw[1]).to_numpy()
            assert_close(got.ravel(), alone[name].to_numpy().ravel(), name, f"lanes, {method}")

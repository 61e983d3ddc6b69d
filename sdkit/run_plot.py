"""The picture of one run: a panel for each stock, arrays with a line an element."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from .plot import BLUE, GREY, VERMILION, locator, new_figure, styled, tick

# Lines that differ without colour too.
_LINES = ((BLUE, "-"), (VERMILION, "--"), ("#009E73", "-."), ("#CC79A7", ":"))


@styled
def stocks(result: xr.Dataset, names: Sequence[str], model: str, path: Path) -> Path:
    """A panel for each of `names` over time: up to four elements of an array with their names,
    more of them as thin lines."""
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    wide, high = 2.6 * columns + 0.4, 1.5 * rows + 0.6
    figure = new_figure(wide, high)
    axes = figure.subplots(rows, columns, sharex=True, squeeze=False)
    # Fixed margins, in inches: an automatic layout of forty panels takes seconds.
    figure.subplots_adjust(
        left=0.6 / wide, right=1 - 0.1 / wide, bottom=0.3 / high, top=1 - 0.65 / high,
        wspace=0.36, hspace=0.52,
    )  # fmt: skip
    for panel, name in zip(axes.flat, names, strict=False):
        unit = result[name].attrs.get("units", "")
        label = f"{name} ({unit})" if unit else name
        panel.set_title("\n".join(textwrap.wrap(label, 34)), fontsize=8)
        _draw(panel, result[name].isel(scenario=0, policy=0, draw=0))
        panel.yaxis.set_major_formatter(tick)
        panel.yaxis.set_major_locator(locator(4))
    for panel in list(axes.flat)[len(names) :]:
        panel.set_visible(False)
    figure.suptitle(f"{model}: one run", fontsize=10, x=0.01, y=1 - 0.12 / high, ha="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, metadata={"Software": "sdkit"})
    return path


def _draw(panel, values: xr.DataArray) -> None:
    time, subscripts = values["time"], values.dims[1:]
    lines = values.to_numpy().reshape(len(time), -1).T
    if not subscripts:
        panel.plot(time, lines[0], color=BLUE, linewidth=1.4)
        return
    labels = values.stack(element=subscripts)["element"].to_numpy()
    names = [", ".join(label) for label in labels]
    if len(names) > len(_LINES):
        panel.plot(time, lines.T, color=BLUE, linewidth=0.5, alpha=0.6)
        panel.text(0.02, 0.97, f"{len(names)} elements", transform=panel.transAxes, fontsize=6,
                   color=GREY, va="top")  # fmt: skip
        return
    for line, name, (colour, dashes) in zip(lines, names, _LINES, strict=False):
        panel.plot(time, line, color=colour, linestyle=dashes, linewidth=1.3)
        at = len(time) * 3 // 4
        panel.annotate(name, (float(time[at]), line[at]), fontsize=6, color=colour,
                       xytext=(0, 2), textcoords="offset points", ha="right")  # fmt: skip

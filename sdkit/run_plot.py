"""The picture of one run: a panel for each stock, arrays with a line an element."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from .model import Model
from .plot import BLUE, GREY, VERMILION, locator, new_figure, styled, tick, time_axis, wrapped
from .time_units import plain, time_unit

# Lines that differ without colour too.
_LINES = ((BLUE, "-"), (VERMILION, "--"), ("#009E73", "-."), ("#CC79A7", ":"))


@styled
def stocks(result: xr.Dataset, names: Sequence[str], model: Model, path: Path) -> Path:
    """A panel for each of `names` over time: up to four elements of an array with their names,
    more of them as thin lines."""
    clock, last = time_unit(model), float(result["time"][-1])
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    titles = [wrapped(_label(result, name), 34, 3) for name in names]
    lines = max(title.count("\n") + 1 for title in titles)
    gap = 0.3 + 0.125 * lines
    wide, high = 2.6 * columns + 0.4, (1.1 + gap) * rows + 0.65
    figure = new_figure(wide, high)
    axes = figure.subplots(rows, columns, sharex=True, squeeze=False)
    # Fixed margins, in inches: an automatic layout of forty panels takes seconds.
    figure.subplots_adjust(
        left=0.6 / wide, right=1 - 0.15 / wide, bottom=0.42 / high,
        top=1 - (0.35 + 0.125 * lines) / high, wspace=0.36, hspace=gap / 1.1,
    )  # fmt: skip
    for panel, name, title in zip(axes.flat, names, titles, strict=False):
        panel.set_title(title, fontsize=8)
        _draw(panel, result[name].isel(scenario=0, policy=0, draw=0))
        panel.yaxis.set_major_formatter(tick)
        panel.yaxis.set_major_locator(locator(4))
    time_axis(axes.flat[0].xaxis, 1.9, last)
    for number in range(len(names), rows * columns):
        axes.flat[number].set_visible(False)
        axes.flat[number - columns].tick_params(labelbottom=True)
        axes.flat[number - columns].set_xlabel(clock.axis, fontsize=7.5, labelpad=1)
    for panel in axes[-1]:
        panel.set_xlabel(clock.axis, fontsize=7.5, labelpad=1)
    figure.suptitle(f"{model.name}: one run", fontsize=10, x=0.01, y=1 - 0.12 / high, ha="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, metadata={"Software": "sdkit"})
    return path


def _label(result: xr.Dataset, name: str) -> str:
    """The name of a variable with its unit, if it has one."""
    unit = plain(result[name].attrs.get("units", ""))
    return f"{name} ({unit})" if unit else name


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

"""The report of a comparison: one self-contained HTML file. The only module with jinja2."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import claims, findings, rivals
from .compare import Comparison
from .files import read_text, write_text
from .findings import ranked, spell
from .heatmap import write_heatmaps
from .history_plot import history_errors, history_figure
from .origins import NOISE, series_said
from .outputs import Output
from .plot import Picture, write_figures

_HERE = Path(__file__).parent
_GRADES = {
    "A": "measured, several sources",
    "B": "one published estimate",
    "C": "indirect, or one weak source",
    "D": "assumption",
}


def write_report(
    comparison: Comparison, out: Path, record: Mapping, weaknesses: Sequence[str] = ()
) -> Path:
    """Figures and report.html into `out`; `weaknesses` are the model's own, as its README has
    them. Returns the path of the report."""
    pictures = write_figures(comparison, out / "figures")
    if comparison.histories:
        pictures["history"] = [history_figure(comparison, out / "figures")]
    path = out / "report.html"
    write_text(path, render(comparison, out / "figures", pictures, record, weaknesses))
    return path


def render(
    comparison: Comparison,
    figures: Path,
    pictures: Mapping[str, Sequence[Picture]],
    record: Mapping,
    weaknesses: Sequence[str],
) -> str:
    """The HTML text of a report."""
    outputs = ranked(comparison)
    main = outputs[0] if outputs else None
    found = rivals.main_rivals(comparison)
    return page(
        "report.html",
        figures,
        c=comparison,
        noise=NOISE["draws"] if comparison.noisy else "",
        main=main,
        outputs=outputs,
        others=[o for o in comparison.outputs if o not in outputs],
        short=(findings.in_short(comparison, main) if main else claims.claims_in_short(comparison)),
        chunks=_chunks(outputs, 6),
        answers=[_answer(comparison, output) for output in outputs],
        alone=_alone(comparison, outputs),
        additions=[line for o in outputs[:1] for line in findings.additions(comparison, o)],
        tables={s.name: findings.verdicts(comparison, s.name) for s in comparison.scenarios},
        claims=claims.claim_results(comparison),
        untested=claims.untested(comparison),
        rivals=found,
        rival_others=rivals.others(comparison),
        switches=rivals.weights(found),
        heatmaps=write_heatmaps(found, figures),
        # Figures come in the order of the outputs that they show.
        fans=list(zip(comparison.outputs, pictures["fan"], strict=False)),
        tornados={o.name: p for o, p in zip(outputs, pictures["tornado"], strict=False)},
        histories=[(h, history_errors(h)) for h in comparison.histories],
        picture={kind: made[0] for kind, made in pictures.items() if made},
        parameters={
            role: comparison.parameters.of_role(*roles)
            for role, roles in {
                "structural": ("structural",),
                "uncertain": ("fitted", "uncertain"),
                "lever": ("lever",),
                "fixed": ("fixed",),
            }.items()
        },
        grades=_GRADES,
        weaknesses=weaknesses,
        record=record,
        n=len(comparison.draws),
        period=comparison.period,
        time=comparison.time,
        sources=_sources(comparison),
    )


def page(template: str, figures: Path, **values) -> str:
    """The HTML text of a template beside this module, in one file with its figures."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE, encoding="utf-8"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["image"] = lambda stem: _image(figures / f"{stem}.svg")
    environment.filters["share"] = findings.share
    environment.filters["short"] = findings.short
    environment.filters["exact"] = findings.exact
    environment.filters["percent"] = findings.percent
    environment.filters["spell"] = spell
    style = read_text(_HERE / "report.css")
    text = environment.get_template(template).render(style=style, **values)
    # A line never breaks between a number and its sign.
    return text.replace(" %", "\u00a0%")


def _chunks(items: Sequence, most: int) -> list[Sequence]:
    """Cut into pieces of about one length, none longer than `most`."""
    size = -(-len(items) // max(-(-len(items) // most), 1)) or 1
    return [items[i : i + size] for i in range(0, len(items), size)]


def _image(path: Path) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()


def _sources(comparison: Comparison) -> dict[str, object]:
    """Where the draws come from, in sentences, and what the posterior's fit had seen."""
    sampled = [p.name for p in comparison.parameters.sampled if p.name in comparison.draws]
    every = set.intersection(*({*s.values} for s in comparison.scenarios))
    sampled = [name for name in sampled if name not in {*comparison.changed, *every}]
    settled = [
        f"the scenario “{s.name}” sets {sum(name in s.values for name in sampled)} of them"
        for s in comparison.scenarios
        if any(name in s.values for name in sampled)
    ]
    held = [name for name in sampled if name in comparison.fitted]
    found: dict[str, object] = {
        "sampled": len(sampled),
        "held": len(held),
        "settled": "; ".join(settled),
        "run": "",
        "seen": "",
        "unseen": "",
    }
    what = comparison.provenance
    if what is None:
        return found
    found["run"] = what.run
    for key, rows in (("seen", what.series), ("unseen", what.held_out)):
        found[key] = series_said(rows, comparison.time)
    return found


def _answer(comparison: Comparison, output: Output) -> dict:
    return {
        "output": output,
        "baseline": findings.baseline_sentence(comparison, output),
        "groups": findings.answer(comparison, output),
        "wholes": [whole.sentence for whole in findings.wholes(comparison, output)],
        "scenarios": findings.scenario_sentence(comparison, output),
    }


def _alone(comparison: Comparison, outputs: Sequence[Output]) -> list[str]:
    """What each single policy does by itself, one sentence a policy."""
    lines = []
    rows = {o.name: findings.effects(comparison, o).set_index("policy") for o in outputs}
    for policy in findings.single(comparison):
        moved, hardly = [], []
        for output in outputs:
            row = rows[output.name].loc[policy.name]
            word = findings.verdict(row)
            if word == "hardly":
                hardly.append(output.name)
            else:
                moved.append(f"{output.name} {findings.percent(row.change)} ({word})")
        text = f"“{policy.name}”: "
        text += "; ".join(moved) if moved else "moves none of the outputs by one per cent"
        if moved and hardly:
            text += f"; hardly moves {findings.listed(hardly)}"
        lines.append(text + ".")
    return lines


def weaknesses_of(folder: Path) -> tuple[str, ...]:
    """The items under the heading of a model's README.md that speaks of weaknesses."""
    path = folder / "README.md"
    if not path.is_file() or not path.read_bytes().strip():
        return ()
    section = re.search(
        r"^#+[^\n]*weakness[^\n]*\n(.*?)(?=^#|\Z)", read_text(path), re.M | re.S | re.I
    )
    if not section:
        return ()
    items = re.findall(
        r"^(?:[-*]|\d+\.) +(.*?)(?=^(?:[-*]|\d+\.) |\n\n|\Z)", section[1], re.M | re.S
    )
    plain = (re.sub(r"[*`]|\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(i.split())) for i in items)
    return tuple(text for text in plain if text)

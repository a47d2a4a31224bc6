"""The part of the results on simulated sets, where the truth is known."""

from __future__ import annotations

from pathlib import Path

from Training.evidence.charts import methods_chart
from Training.evidence.methods import INPUT, TRUTH
from Training.evidence.sheets import busiest_window, picture_sheet
from Training.evidence.stored import Evidence, slug
from Training.evidence.tables import TIME, definitions, figure_table, markdown, spelled, test_table

AS_PUBLISHED = ("psnr_db", "ssim", "homogeneity", "lpips")
FITTED = ("psnr_after_scale_db", "ssim_after_scale", "ssim_uniform_after_scale", "lpips_after_scale", "gcnr")
SPECKLE = (
    "homogeneity",
    "edge_rise_px",
    "truth_brightness_bias",
    "local_brightness_bias",
    "brightness_ratio",
    "black_share",
    TIME,
)
TESTED = ("ssim_after_scale", "psnr_after_scale_db", "lpips_after_scale", "homogeneity", "gcnr")
PUBLISHED_SETS = ("S-I", "S-II", "S-III")


def simulated_section(evidence: Evidence, figures: Path) -> str:
    """Return the section and draw its pictures into ``figures``."""
    sets = [data["name"] for data in evidence.sets("simulated")]
    if not sets:
        return ""
    by_set = {name: evidence.methods(name) for name in sets}
    parts = ["## 1. Simulated frames, where the truth is known\n", evidence.command, _how(evidence), _learned(evidence)]
    published = [name for name in PUBLISHED_SETS if name in by_set]
    if published:
        parts += [
            "### The paper's table, on our sets\n",
            "PSNR (dB) / SSIM / homogeneity / LPIPS of the output as it is, as in the table of Li, Navab and Jiang "
            "(2025). Means over images. PSNR and SSIM without a fitted scale mostly follow overall brightness; the "
            "next table takes that out.\n",
            _paper_table(evidence, published, AS_PUBLISHED),
            "The same after one scale factor for each image: PSNR (dB) / SSIM / homogeneity / LPIPS.\n",
            _paper_table(
                evidence, published, ("psnr_after_scale_db", "ssim_after_scale", "homogeneity", "lpips_after_scale")
            ),
        ]
    methods_chart(by_set, "ssim_after_scale", evidence.ours, figures / "ssim.png")
    parts.append("![Scale-fitted SSIM of every method on every set](figures/ssim.png)\n")
    parts.append("### Paired tests\n")
    parts.append(
        f"Mean over images of {evidence.ours} minus the other method, and p of Wilcoxon's signed-rank test (two-sided) "
        "on the same images after Holm's correction over all methods of a column; * is p < .05; n is the number of "
        "images.\n"
    )
    parts += [test_table(evidence.ours, by_set, figure) for figure in TESTED if _is_measured(evidence, sets, figure)]
    for data in evidence.sets("simulated"):
        parts += _one_set(evidence, data["name"], data.get("description", ""), int(data.get("pictures", 1)), figures)
    return "\n".join(parts)


def _how(evidence: Evidence) -> str:
    perceptual = evidence.plan.get("perceptual")
    lpips = (
        f"LPIPS is {perceptual}, grey fed as three equal channels in -1..1. "
        if perceptual
        else "LPIPS was not measured. "
    )
    return (
        "Each method gets the 8-bit speckled frame as grey 0..1; its answer is clipped to 0..1 and not rounded. "
        f"Data range 1. {lpips}Time is a multiple of that of `{evidence.plan['yardstick']}` on the same frames in the "
        "same process. Mean ± standard deviation over images; bold is the best mean. Slow methods were measured on the "
        "first n images only; the paired tests compare them there. "
        f"*{TRUTH}* is the truth measured like an output.\n\n"
        + definitions([name for name in dict.fromkeys((*AS_PUBLISHED, *FITTED, *SPECKLE)) if name != TIME])
    )


def _learned(evidence: Evidence) -> str:
    rows = [
        [m["name"], m["learned_from"], ", ".join(f"{k} {v}" for k, v in m["parameters"].items()) or "defaults"]
        for m in evidence.plan["methods"]
        if m["name"] not in evidence.apart
    ]
    table = markdown(["Method", "Learned from", "Settings"], rows).replace("| ---: | ---: |", "| --- | --- |")
    return f"What each method had seen:\n\n{table}"


def _paper_table(evidence: Evidence, sets: list[str], figures: tuple[str, ...]) -> str:
    names = list(dict.fromkeys(m.method for data in sets for m in evidence.methods(data) if m.method != TRUTH))
    rows = []
    for name in names:
        cells = []
        for data in sets:
            rows_of = evidence.of(data, name)
            values = [list(rows_of.values(figure).values()) if rows_of else [] for figure in figures]
            cells.append(
                " / ".join(spelled(f, sum(v) / len(v) if v else None) for f, v in zip(figures, values, strict=True))
            )
        rows.append([name, *cells])
    return markdown(["Method", *sets], rows)


def _is_measured(evidence: Evidence, sets: list[str], figure: str) -> bool:
    return any(m.values(figure) for data in sets for m in evidence.methods(data) if m.method == INPUT)


def _one_set(evidence: Evidence, data: str, description: str, pictures: int, figures: Path) -> list[str]:
    methods = evidence.methods(data)
    parts = [f"### {data}\n", f"{description}\n" if description else "", figure_table(methods, ("psnr_db", *FITTED))]
    parts.append(figure_table(methods, SPECKLE))
    for number, row in enumerate(methods[0].rows[:pictures]):
        panels = evidence.panels(data, row.item)
        if not panels:
            continue
        name = f"{slug(data)}-{number + 1}.png"
        truth = next((frame for caption, frame in panels if caption == TRUTH), panels[0][1])
        picture_sheet(panels, figures / name, window=busiest_window(truth), title=f"{data}, frame {row.item}")
        parts.append(f"![{data}: input, truth and methods, with an enlarged detail](figures/{name})\n")
    return parts

"""Writes docs/results.md from the folders that examples/reproduce.py leaves in docs/results.

To add or renew a figure: run reproduce.py, copy OUT/NAME/results.json to docs/results/NAME.json,
and run ``python docs/build_results.py``.
"""

from pathlib import Path
from typing import Any

from siamesekit.experiments import read_json
from siamesekit.plots import plot_history
from siamesekit.training import History

PAGE = Path(__file__).with_name("results.md")
FOLDER = Path(__file__).with_name("results")
COMMAND = "python docs/build_results.py"

# What papers report on each task, in per cent.
KNOWN = {
    "Lake's 400 trials": "Koch 92.0 (40 alphabets); from 30 alphabets: convnet 86.5, people 95.5, "
    "BPL 96.7, pairwise ConvARC 97.75, full-context ConvARC 98.5",
    "Lake's 400 trials, mean of 8 turns": "as above",
    "verification, 30/10/10 alphabets": "Koch 93.42, ConvARC 96.10",
    "MNIST 10-way one-shot, no fine-tuning": "Koch 70.3, Matching Networks 72",
    "MNIST 10-way one-shot, no fine-tuning, redrawn with a thin pen": "as above",
    "MNIST 10-way one-shot, no fine-tuning, cut out by DrawingReader": "as above",
    "Vinyals split, 5-way 1-shot": "ProtoNet 98.8",
    "Vinyals split, 5-way 5-shot": "ProtoNet 99.7",
    "Vinyals split, 20-way 1-shot": "ProtoNet 96.0, TapNet 98.07",
    "Vinyals split, 20-way 5-shot": "ProtoNet 98.9",
}


def page() -> str:
    """Return the whole page, as Markdown."""
    reports = [read_json(path) for path in sorted(FOLDER.glob("*.json"))]
    lines = [
        "# Results",
        "",
        f"<!-- Written by `{COMMAND}`; do not edit. -->",
        "",
        "Each figure beside what papers report, with the command that makes it. Percentages; in",
        "brackets the 95 % interval. A figure of a paper is from its own training and protocol.",
    ]
    for report in reports:
        lines += ["", *_section(report)]
    return "\n".join(lines) + "\n"


def _section(report: dict[str, Any]) -> list[str]:
    runs = report["runs"]
    minutes = ", ".join(f"{run['seconds'] / 60:.0f}" for run in runs)
    machine = runs[0]["environment"]
    lines = [
        f"## {report['name']}",
        "",
        f"`{report['command']}`",
        "",
        f"Recipe: `{_call(report['recipe'])}`.",
        "",
        f"Trained on: {report['trained_on']}. Seeds {', '.join(str(run['seed']) for run in runs)}; "
        f"{runs[0]['epochs']} epochs; training took {minutes} minutes on {machine['hardware']} "
        f"({machine['threads']} threads), torch {machine['torch']}.",
    ]
    lines += [f"\n{note}" for note in report.get("notes", [])]
    lines += ["", f"![Training of {report['name']}, seed 0](results/{report['name']}.png)"]
    lines += [
        "",
        "| task | siamesekit | seeds | episodes | trials | chance | reported elsewhere |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, task in report["tasks"].items():
        low, high = (100 * end for end in task["interval"])
        lines.append(
            f"| {name} | **{100 * task['value']:.2f}** [{low:.2f}, {high:.2f}] "
            f"| {len(task['seeds'])} | {task['n_episodes']:,} | {task['n_trials']:,} "
            f"| {100 * task['chance']:.0f} | {KNOWN.get(name, '')} |"
        )
    protocols = {task["protocol"] for task in report["tasks"].values()}
    return [*lines, "", "Protocols: " + ". ".join(sorted(protocols)) + "."]


def _call(recipe: dict[str, Any]) -> str:
    arguments = ", ".join(f"{name}={value!r}" for name, value in recipe["arguments"].items())
    return f"siamesekit.recipes.{recipe['name']}({arguments})"


def draw_curves() -> None:
    """Draw the training of the first seed of each report, beside its file."""
    for path in FOLDER.glob("*.json"):
        history = read_json(path)["runs"][0]["history"]
        # Strict json has no number that is not one: it stands there as "nan".
        numbers = {name: [float(value) for value in values] for name, values in history.items()}
        plot_history(History(numbers), path.with_suffix(".png"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    draw_curves()

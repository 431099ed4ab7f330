"""The certificate as plain data: what `schema.json` and docs/certificate.md describe."""

import math
import platform
import sys
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version

from cellcheck.cells import lift
from cellcheck.properties.intake.capabilities import NEEDS, missing
from cellcheck.properties.intake.catalogue import laws
from cellcheck.strategies import regimes

VERSION = 1
STATUSES = ("broken", "incomplete", "not verified", "held")
PARTS = {"weight_gradients": "weights", "input_gradients": "x", "state_gradients": "states"}
VERDICTS = ("held", "broken", "hazard", "vacuous", "expected", "not verified", "incomplete", "not asked")


def certificate(cards, results, run, powers=None):
    """The certificate of a run as a dict of plain values.

    cards: what `described` says of each cell, by label; results: of all laws, as the Collector has them; run: what else there is
    to say about the run (examples, strict, workers); powers: for each cell whose own code was edited the result, as
    `Power.as_dict` has it.
    """
    known = list(laws().values())
    entries = [_cell(label, card, [r for r in results if r["cell"] == label], known) for label, card in cards.items()]
    entries = [{**entry, "mutants": (powers or {}).get(label)} for entry, label in zip(entries, cards)]
    return {
        "format": "cellcheck certificate",
        "version": VERSION,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "status": worst([status(results), *(entry["status"] for entry in entries if not entry["examples"])]),
        "environment": {**environment(), **run},
        "cells": entries,
    }


def environment():
    """Versions of whatever may change a number."""
    packages = {name: version(name) for name in ("numpy", "hypothesis", "pytest")}
    return {"python": platform.python_version(), **packages, "platform": platform.platform(), "byteorder": sys.byteorder}


def described(Cell, notes=()):
    """What a cell takes and offers, as plain values: they travel from a worker to where the certificate is written.

    notes: lines of the pre-flight.
    """
    cell = lift(Cell)(2, 3)
    spec = cell.spec
    sizes = {"sequence": spec.sequence, "batch": spec.batch, "fewest_steps": spec.fewest_steps, "most_steps": spec.most_steps}
    without = {a.name for a in spec.arrays if not a.differentiable}
    blocks = [
        (name, part, "has none, as declared" if name in without else missing(Cell, (part,)))
        for name, part in expected_blocks(spec)
    ]
    return {"capabilities": _capabilities(cell), "spec": _spec(spec), "notes": list(notes), "blocks": blocks, "sizes": sizes}


def _cell(label, card, results, known):
    of = {(r["group"], r["law"]): r for r in results}
    known = [law for law in known if card["capabilities"]["offers"]["reference"] or "reference" not in law.needs]
    rows = [_law(law, of.get((law.group, law.name))) for law in known]
    count = Counter(row["verdict"] for row in rows)
    return {
        "name": label.rpartition(":")[2],
        "source": label if ":" in label else None,
        "status": status_of_cell(results),
        "capabilities": card["capabilities"],
        "spec": card["spec"],
        "notes": card["notes"],
        "verdicts": {verdict: count[verdict] for verdict in VERDICTS},
        "examples": sum(row["examples"] for row in rows),
        "certified": _share(sum((Counter(row["blocks"]) for row in rows), Counter())),
        "worst": max((row["worst"] for row in rows), default=0.0),
        "laws": rows,
        "power": _power(card["blocks"], of),
        "regimes": _regimes(card["sizes"], results),
    }


def _law(law, result):
    row = {"group": law.group, "law": law.name, "equation": law.equation, "promise": law.promise}
    if result is None:
        empty = {"examples": 0, "blocks": {}, "certified": None, "worst": 0.0, "seconds": 0.0, "report": None}
        return {**row, "verdict": "not asked", "reason": "", **empty}
    verdict = verdict_of(result)
    report = (result.get("finding") or {}).get("path") if verdict in ("broken", "hazard", "expected") else None
    return {
        **row,
        "verdict": verdict,
        "reason": result["reason"],
        "examples": result["examples"],
        "blocks": dict(result["blocks"]),
        "certified": _share(result["blocks"]),
        "worst": _number(result["worst"]) or 0.0,
        "seconds": result.get("seconds", 0.0),
        "report": report,
    }


def status(results):
    """What a run comes to, the worst of its cells: broken, incomplete, not verified, or held.

    A cell is incomplete where a law has no verdict, or none ran. It is not verified where no law held and none was expected to
    fail, or where laws compared its gradients and certified none.
    """
    cells = {}
    for r in results:
        cells.setdefault(r["cell"], []).append(r)
    whole = worst(map(status_of_cell, cells.values()))
    return "not verified" if whole == "held" and "held" not in set(map(verdict_of, results)) else whole


def status_of_cell(results):
    """The same of one cell."""
    if not results:
        return "incomplete"
    seen = set(map(verdict_of, results))
    bare = not seen & {"held", "expected"} or uncertified(results)
    return next((s for s in ("broken", "incomplete") if s in seen), "not verified" if bare else "held")


def worst(statuses):
    """The worst of several statuses; incomplete, if there is none."""
    return min(statuses, key=STATUSES.index, default="incomplete")


def uncertified(results):
    """Whether laws compared the gradients of a cell and certified too few: none of them, or one of them in no example."""
    compared = [r for r in results if r["law"] in PARTS and r["examples"]]
    return bool(compared) and (all(r["verdict"] == "not verified" for r in compared) or bool(unseen(compared)))


def unseen(results):
    """Names of the gradients that were compared and, although they are not always 0, certified in no example."""
    lost = [r.get("power", {}) for r in results if r["law"] in PARTS and r["verdict"] == "not verified"]
    return [name for power in lost for name, seen in power.items() if seen.get("inconclusive") and not seen.get("certified")]


def verdict_of(result):
    """The verdict of a result: a law that held without proving anything is vacuous."""
    return "vacuous" if result["verdict"] == "held" and result["reason"].startswith("vacuous") else result["verdict"]


def _share(blocks):
    """Which part of the blocks that could be judged was certified, or None."""
    judged = sum(blocks.values()) - blocks.get("trivial", 0)
    return blocks.get("certified", 0) / judged if judged else None


def expected_blocks(spec):
    """Name and part of every derivative that a cell might offer: one per gate of each weight, one for x and for each state."""
    parts = ["weights"] * len(spec.weights) + ["x"] * len(spec.inputs) + ["state"] * len(spec.states)
    return [(region.name, parts[region.k]) for region in spec.regions]


def _power(blocks, of):
    """Per block how closely the certified examples agreed; what no law looked at is there as well, with the reason."""
    seen = {name: found for (group, _), r in of.items() if group == "gradients" for name, found in r.get("power", {}).items()}
    rows = []
    for name, part, absent in blocks:
        found = seen.get(name, {})
        counts = {verdict: found.get(verdict, 0) for verdict in ("certified", "inconclusive", "trivial", "violated")}
        reason = "" if found else absent or _unjudged(part, of)
        sharpness = {"worst": found.get("worst"), "decades": found.get("decades", {}), "oracle": found.get("oracle")}
        rows.append({"block": name, "part": part, **counts, **sharpness, "reason": reason})
    return rows


def _unjudged(part, of):
    law = {"weights": "weight_gradients", "x": "input_gradients", "state": "state_gradients"}[part]
    result = of.get(("gradients", law))
    return f"{law}: {verdict_of(result)}" if result else "not asked"


def _capabilities(cell):
    offers = {need: bool(has(cell)) for need, (has, _) in NEEDS.items()}
    return {
        "kind": cell.spec.kind,
        "sequence": bool(cell.spec.sequence),
        "states": list(cell.spec.state_names),
        "gradients": list(cell.spec.gradients),
        "batch": cell.spec.batch,
        "dtypes": [getattr(d, "__name__", str(d)) for d in cell.spec.dtypes],
        "weights": cell.spec.array_names[: len(cell.weights)],
        "choices": {key: str(value) for key, value in cell.spec.choices.items()},
        "variant": {key: str(value) for key, value in cell.spec.variant.items()},
        "offers": offers,
    }


def _spec(spec):
    """What a cell takes and returns, with the shapes that arrays have at its smallest usual sizes, and what it must equal."""

    def shapes(arrays):
        return {array.name: list(array.shape) for array in arrays}

    same_as = spec.reference and {"name": spec.reference.label, "weights": spec.reference.matched}
    return {
        "features": spec.features,
        "state": spec.state,
        "inputs": shapes(spec.inputs),
        "states": shapes(spec.states),
        "outputs": shapes(spec.outputs),
        "weights": shapes(spec.weights),
        "sizes": {name: [str(size) for size in some] for name, some in spec.sizes.items()},
        "precision": spec.precision,
        "deterministic": spec.deterministic,
        "reference": same_as or None,
    }


def _regimes(sizes, results):
    """How many examples there were of each value, zero for those that were never reached; what the cell ignores is left out."""
    total = {dimension: Counter() for dimension in regimes.REACHABLE}
    for r in results:
        for dimension, counts in r.get("regimes", {}).items():
            for value, n in counts.items():
                total[dimension][_taken(sizes, dimension, value)] += n
    found = {}
    for dimension, values in regimes.REACHABLE.items():
        if (dimension == "steps" and not sizes["sequence"]) or not total[dimension]:
            continue
        names = list(dict.fromkeys(_taken(sizes, dimension, f"{v:g}" if isinstance(v, float) else str(v)) for v in values))
        found[dimension] = {name: total[dimension][name] for name in names}
    return found


def _taken(sizes, dimension, value):
    """What the cell is given where it cannot take any batch or any number of steps."""
    if dimension == "batch" and sizes["batch"]:
        return str(sizes["batch"])
    if dimension == "steps":
        return str(max(min(int(value), sizes["most_steps"] or int(value)), sizes["fewest_steps"] or 0))
    return value


def _number(value):
    return float(value) if math.isfinite(value) else None

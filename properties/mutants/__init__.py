"""Cells broken on purpose, one edit each: the proof that the laws work."""

from cellcheck.properties.mutants import batches, conventions, formulas, gist, layouts, lengths, numerics, sequences, steps
from cellcheck.properties.mutants.engine import EditError, Mutant
from cellcheck.properties.mutants.judge import Death, killed

CLASSES = {
    "convention": conventions.MUTANTS,
    "batch, state, layout, dtype, purity": batches.MUTANTS + layouts.MUTANTS,
    "backward formula": formulas.MUTANTS,
    "lengths and masks": lengths.MUTANTS,
    "through time": steps.MUTANTS,
    "numerics": numerics.MUTANTS,
    "step versus sequence": sequences.MUTANTS,
    "the gist's own": gist.MUTANTS,
}
CATALOGUE = [mutant for mutants in CLASSES.values() for mutant in mutants]

__all__ = ["CATALOGUE", "CLASSES", "Death", "EditError", "Mutant", "killed"]

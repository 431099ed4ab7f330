"""What laws are quantified over: problems, pre-activations."""

from cellcheck.strategies.problem import Literal, Problem, problems

__all__ = ["Literal", "Problem", "problems"]

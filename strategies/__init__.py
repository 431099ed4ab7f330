"""What laws are quantified over: problems, pre-activations."""

from cellcheck.strategies.problem import TOGETHER, Literal, Problem, problems

__all__ = ["TOGETHER", "Literal", "Problem", "problems"]

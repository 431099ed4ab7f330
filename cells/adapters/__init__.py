"""Adapters: what turns a cell written for anything else into one that can be verified, by options in place of subclasses."""

from cellcheck.cells.adapters.adapt import adapt
from cellcheck.cells.contract import Gradients

__all__ = ["Gradients", "adapt", "jax_function", "keras_layer", "onnx_model", "torch_module"]


def torch_module(*arguments, **options):  # pragma: no cover (torch is optional)
    """A torch module as a cell; needs torch. help(cellcheck.cells.adapters.torch_cells.torch_module) lists the options."""
    from cellcheck.cells.adapters.torch_cells import torch_module

    return torch_module(*arguments, **options)


def onnx_model(*arguments, **options):  # pragma: no cover (onnx is optional)
    """An ONNX model as a cell; needs onnx and onnxruntime. help(cellcheck.cells.adapters.onnx_cells.onnx_model) lists the options."""
    from cellcheck.cells.adapters.onnx_cells import onnx_model

    return onnx_model(*arguments, **options)


def jax_function(*arguments, **options):  # pragma: no cover (jax is optional)
    """A jax function of weights as a cell; needs jax. help(cellcheck.cells.adapters.jax_cells.jax_function) lists the options."""
    from cellcheck.cells.adapters.jax_cells import jax_function

    return jax_function(*arguments, **options)


def keras_layer(*arguments, **options):  # pragma: no cover (keras is optional)
    """A keras layer as a cell; needs keras 3 with torch or jax. help(cellcheck.cells.adapters.keras_cells.keras_layer) lists the options."""
    from cellcheck.cells.adapters.keras_cells import keras_layer

    return keras_layer(*arguments, **options)

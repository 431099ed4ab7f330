"""Property-based verification of recurrent cells."""

from pathlib import Path

if not Path(__file__).with_name("cells").is_dir():  # a checkout, where cells, strategies and properties lie beside this folder
    __path__.append(str(Path(__file__).parents[1]))

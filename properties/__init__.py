"""The laws of recurrent cells, one module for each group, and what judges them."""

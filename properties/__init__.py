"""The laws of recurrent cells, the oracles they ask, and what is said when one breaks."""

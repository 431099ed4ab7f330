"""What verifying costs, measured in one run: `python -m bench` writes docs/bench.md and docs/bench.svg."""

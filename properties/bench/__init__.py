"""What verifying costs, measured in one run: `python -m properties.bench` writes docs/bench.md and docs/bench.svg."""

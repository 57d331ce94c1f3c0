"""Side-by-side measurements; run one as ``python -m benchmarks.<name>`` from the checkout."""

from genattr import streams

streams.prepare()

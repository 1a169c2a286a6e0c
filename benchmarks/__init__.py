"""Benchmarks: `python -m benchmarks.bench_hotpath`. They print ratios measured side by side, and assert nothing."""

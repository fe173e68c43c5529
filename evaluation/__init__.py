"""The paper's evaluation protocol (section 4): benchmarks, pictures and scores.

See docs/evaluation.md.
"""

"""The paper's evaluation protocol (section 4), as a tool: benchmark, pictures, scores. See docs/evaluation.md."""

"""The parts of the fuzzer of the edge; tests/edge/attack/fuzz.py runs it."""

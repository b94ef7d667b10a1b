"""`make bench`: the product against the floor, both in one run; prints `name value unit` and writes bench.json."""

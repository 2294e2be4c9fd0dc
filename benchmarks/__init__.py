"""What is fast, measured side by side in one run. Networks have random weights: none is needed.

fusion           python -m benchmarks.fusion: a guided step, fused attention against the literal one
whole_run        a whole try-on, seconds for each stage (fusion runs it where there is a GPU)
random_networks  networks in SD1.5's layout, full-size or tiny
"""

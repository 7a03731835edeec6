"""What is made of datasets: comparison, compact models, figures, the reservoir and its readout.

It stands on `kmc`, which never imports it; its commands and benchmarks reach
the command line as entry points.
"""

"""Compact models as circuits, Verilog-A and the formats of learning simulators."""

"""What the core needs of the outside, and how the outside fails. No library is in sight here.

The adapters in `services/` give it; each entry file puts the two together. What a method costs in
remote calls is said where it is implemented.
"""

"""The benchmark: what a request costs in Weir and in other proxies with like policy, in one run on one machine.

README.md beside this file has the method, the commands, and what cannot be compared.
"""

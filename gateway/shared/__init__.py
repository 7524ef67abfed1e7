"""Memory that all worker processes share: what is counted in it is counted once, whichever of them carries the request.

memory.py   the file, which the supervisor makes and every worker maps; which definition has which zone of it
lock.py     locks that the kernel frees when their process ends
zone.py     the memory of one definition: changed under a lock, whole or not at all, also by a process that is killed
table.py    cells by key, which expire
shelf.py    bytes by key, which end or are withdrawn
permit.py   permits by key, which are given back, if need be by others
measure.py  metrics
"""

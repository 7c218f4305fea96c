"""Jobs that were asked for over the API: work that outlives the request, the server and the machine's faults.

validate.py     looks at training files line by line
worker.py       takes jobs from the queue (`store.jobs`), each into a process of its own
child.py        what that process does with one
keeper.py       starts a worker where jobs wait and none is there
"""

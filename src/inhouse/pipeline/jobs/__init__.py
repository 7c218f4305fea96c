"""Jobs that were asked for over the API: work that outlives the request, the server and the machine's faults.

create.py       a request becomes a job in the queue (`store.jobs`)
worker.py       takes jobs from the queue, each into a process of its own
child.py        what that process does with one
keeper.py       starts a worker where jobs wait and none is there
"""

"""Jobs that were asked for over the API: work that outlives the request, the server and the machine's faults.

validate.py     looks at training files line by line
naming.py       what the base, the task and the models of a fine-tuning job are called
fine_tuning.py  does one: from files to a named model with a verdict
progress.py     what is told of its training meanwhile
worker.py       takes jobs from the queue (`store.jobs`), each into a process of its own
child.py        what that process does with one
keeper.py       starts a worker where jobs wait and none is there
"""

"""One call of a plugin's code: values in, values out, and the judgement of what it came to.

It is made in a lane's thread, in a thread of the plugin's own, or in another process.

Nothing here imports dispatch or requests at run time.
"""

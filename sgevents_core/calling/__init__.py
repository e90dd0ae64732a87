"""One call of a plugin's code: values in, values out, and how the outcome is judged.

It is made in a lane's thread, in a thread of the plugin's own, or in another process.

Nothing here imports dispatch or requests at run time.
"""

"""The names of the backends: the one list that tests, sessions and the command line follow.

`noxfile.py` runs this file by its path, so it imports nothing.
"""

#: The packages that each library needs besides NumPy; None if they depend on the machine.
LIBRARIES = {"numpy": (), "strict": ("array-api-strict",), "torch": ("torch",), "jax": ("jax",), "cupy": None}

#: The libraries that users choose by name. array-api-strict is for tests alone.
CHOICES = tuple(name for name in LIBRARIES if name != "strict")

#: Each library on each kind of device that the tests know.
BACKENDS = (*LIBRARIES, "torch-cuda", "jax-cuda")

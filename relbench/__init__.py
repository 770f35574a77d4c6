"""Does relational distillation make a student beat its teacher at retrieval or classification, and by how much?"""

__version__ = "0.1.0"

"""Does relational distillation make a student beat its teacher at retrieval, classification or few-shot learning?"""

__version__ = "0.1.0"

"""How to cite, as BibTeX."""

import relbench


def cite_relbench() -> str:
    """This version of relbench."""
    return f"""@misc{{relbench,
  title        = {{relbench: does relational distillation make a student beat its teacher?}},
  howpublished = {{Python package relbench-kd, version {relbench.__version__}}},
}}"""


def cite_rkd() -> str:
    """Relational knowledge distillation."""
    return """@inproceedings{park2019relational,
  title     = {Relational Knowledge Distillation},
  author    = {Park, Wonpyo and Kim, Dongju and Lu, Yan and Cho, Minsu},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year      = {2019},
}"""

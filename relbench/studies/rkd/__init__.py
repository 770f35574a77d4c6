"""Tables and figures of Relational Knowledge Distillation (Park et al., CVPR 2019, arXiv:1904.05068)."""

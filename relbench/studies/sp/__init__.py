"""Tables of Similarity-Preserving Knowledge Distillation (Tung and Mori, ICCV 2019, arXiv:1907.09682)."""

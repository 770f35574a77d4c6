"""Tables of REFILLED (Ye, Lu, Zhan, CVPR 2020; TPAMI 2022, arXiv:2205.01915): teachers of the same or other classes."""

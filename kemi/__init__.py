"""The SIP edge: turns a request into facts, and the kernel's decision into SIP."""

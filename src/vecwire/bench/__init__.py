"""The bench: vecwire beside its peers, in one run, in network namespaces of its own.

Theory of operation: a *table* asks one question (TCP through a tunnel, frames a second, round trips). Its
*contenders* answer it in turn, round after round (A B C, A B C), so that a busy moment of the machine falls
on all of them; what is shown is the median, with the least and the most beside it. Every answer is one
*sample*, kept in a file at once, so that an interrupted run goes on where it was. Tables on the terminal,
plots, the report and the verdict are made of the samples alone, and can be made again at any time.

Each measurement builds its own network of namespaces without names, held by descriptors of this process, and
its processes die with this one: whatever ends the bench, nothing of it stays.
"""

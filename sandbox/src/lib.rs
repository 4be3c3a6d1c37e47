//! Every role in one process, on local directories: the quick start.

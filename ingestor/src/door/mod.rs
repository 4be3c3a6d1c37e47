//! What is checked of a report before it is kept.

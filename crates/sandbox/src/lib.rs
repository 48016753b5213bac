//! JavaScript transformations in killable worker processes.

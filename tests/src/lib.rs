//! Helpers of the black-box tests on the real binary.

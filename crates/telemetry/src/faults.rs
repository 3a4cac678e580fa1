//! The table of faults.

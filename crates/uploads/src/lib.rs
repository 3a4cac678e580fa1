//! x
#![allow(missing_docs)]
mod object;
mod plan;
mod rows;

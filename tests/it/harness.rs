//! The harness itself: what it promises to the tests that stand on it.

mod cached;
mod distribution;
mod pictures;
mod programs;
mod protected;
mod relay;
mod upstream;

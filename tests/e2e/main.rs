//! Larder end to end, on real servers.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not there")]

mod all;
mod burger;
mod commands;
mod kill;
mod larder;
mod oversell;
mod topics;

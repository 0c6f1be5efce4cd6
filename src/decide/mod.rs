//! The rules: values in, values out. Pure; imports only facts.

mod counts;
pub mod demand;
mod demand22;
pub mod forecast;
mod foreign;
pub mod hooks;
pub mod kernel_sem;
pub mod learn;
pub mod maker;
pub mod message;
pub mod remedies;
pub mod situation;
pub mod suspects;
pub mod verdict;
mod watchdogs;

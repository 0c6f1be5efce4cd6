//! The rules: values in, values out. Pure; imports facts alone.

pub mod forecast;
pub mod kernel_sem;
pub mod message;
pub mod verdict;

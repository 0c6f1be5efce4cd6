//! Nouns: values with arithmetic of their own. Touches nothing, imports no other room.

pub mod capacity;
pub mod error;
pub mod evidence;
pub mod printable;
pub mod process;
pub mod request;
pub mod row;
pub mod set;
pub mod time;
pub mod trial;
pub mod users;
pub mod verdict;
